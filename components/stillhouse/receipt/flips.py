"""Row by row: what changes for the users of the champion, and which of the teacher's mistakes came
along.
"""

import torch
from torch import Tensor

from stillhouse.evaluation.labels import decided
from stillhouse.receipt import png
from stillhouse.receipt.outcomes import CONTROLS, SHIPPED, Json, Outcomes

SHOWN = 24  # rows of a kind on the page; the rest is counted


def flips(found: Outcomes) -> Json:
    """Return how many right answers turn wrong (negative) and wrong ones right (positive); all null
    when nothing is in production.
    """
    right_or_wrong = found.task.right_or_wrong
    if found.champion is None or found.champion_logits is None or not right_or_wrong:
        return {"against": None, "negative": None, "positive": None}
    before, after = found.right(found.champion_logits), found.right(found.logits)
    return {
        "against": f"version {found.champion['version']}",
        "negative": int((before & ~after).sum()),
        "positive": int((~before & after).sum()),
    }


def mistakes(found: Outcomes) -> Json:
    """Return how many of the teacher's mistakes the student makes in the same way (copied) and how
    many it answers rightly (corrected).
    """
    if not found.task.right_or_wrong:
        return {"copied": 0, "corrected": 0}
    counted = mistakes_of(found, found.logits)
    return {"copied": counted["copied"], "corrected": counted["corrected"]}


def mistakes_of(found: Outcomes, logits: Tensor) -> dict[str, int]:
    """Return the rows of one model beside the teacher's: copied, corrected, other (wrong in another
    way), lost (the teacher was right). `logits`: [N, C].
    """
    wrong, right = ~found.right(found.teacher_logits), found.right(logits)
    same = found.same(logits, found.teacher_logits)
    return {
        "copied": int((wrong & same).sum()),
        "corrected": int((wrong & right).sum()),
        "other": int((wrong & ~same & ~right).sum()),
        "lost": int((~wrong & ~right).sum()),
    }


def flips_drawn(found: Outcomes, *, show_rows: bool) -> Json | None:
    """Return what the page draws of the flips: the 2 x 2 table, the paired difference, and the
    rows; None when nothing is in production.
    """
    if found.champion is None or found.champion_logits is None:
        return None
    from scipy.stats import binomtest

    before, after = found.right(found.champion_logits), found.right(found.logits)
    lost, won = before & ~after, ~before & after
    discordant = int(lost.sum() + won.sum())
    answers = said(found, found.champion_logits), said(found, found.logits)
    return {
        "table": [
            [int((before & after).sum()), int(lost.sum())],
            [int(won.sum()), int((~before & ~after).sum())],
        ],
        "difference": float(after.double().mean() - before.double().mean()),
        "p": float(binomtest(int(won.sum()), discordant, 0.5).pvalue) if discordant else 1.0,
        "negative": told(found, lost, *answers, show_rows=show_rows),
        "positive": told(found, won, *answers, show_rows=show_rows),
    }


def mistakes_drawn(found: Outcomes, *, show_rows: bool) -> Json:
    """Return what the page draws of the mistakes: counts by arm (a control's seed 0, as it would
    have shipped), and the rows of the student.
    """
    teacher, own, truth = said(found, found.teacher_logits), said(found, found.logits), _true(found)
    wrong, right = ~found.right(found.teacher_logits), found.right(found.logits)
    same = found.same(found.logits, found.teacher_logits)
    controls = {
        arm: mistakes_of(found, found.of(arm, found.seeds(arm)[0]))
        for arm in CONTROLS
        if found.seeds(arm)
    }
    return {
        "teacher_wrong": int(wrong.sum()),
        "by_arm": {SHIPPED: mistakes_of(found, found.logits), **controls},
        "copied": told(found, wrong & same, truth, own, show_rows=show_rows),
        "corrected": told(found, wrong & right, teacher, own, show_rows=show_rows),
    }


def told(
    found: Outcomes, which: Tensor, before: Tensor, after: Tensor, *, show_rows: bool
) -> list[Json]:
    """Return the first rows of a kind.

    Args:
        found: The outcomes.
        which: Whether a row is of that kind, bool [N known].
        before: What was said before the arrow, [N known] class codes, or labels [N known, L].
        after: What is said after it, likewise.
        show_rows: Whether rows that are pictures are shown; off, only their numbers leave the
            workspace.
    """
    ids, inputs, truth = found.rows[found.known], found.inputs[found.known], _true(found)
    drawn = show_rows and png.drawable(found.schema.shape)
    return [
        {
            "row": int(ids[at]),
            "truth": _told(found, truth[at]),
            "before": _told(found, before[at]),
            "after": _told(found, after[at]),
            "image": png.data_uri(inputs[at]) if drawn else None,
        }
        for at in torch.nonzero(which).flatten().tolist()[:SHOWN]
    ]


def said(found: Outcomes, logits: Tensor) -> Tensor:
    """Return what a model says of each row with a truth: class codes [N known], or which labels it
    has, bool [N known, L].
    """
    told = logits[found.known]
    return decided(told) if found.schema.labels else told.argmax(1)


def _true(found: Outcomes) -> Tensor:
    truth = found.targets[found.known]
    return truth == 1 if found.schema.labels else truth


def _told(found: Outcomes, answer: Tensor) -> int | str:
    """Return a class by its code, or labels by their names."""
    if not found.schema.labels:
        return int(answer)
    names = [name for name, own in zip(found.schema.labels, answer.tolist(), strict=True) if own]
    return ", ".join(names) or "none"
