"""Row by row: what changes for the users of the champion, and which of the teacher's mistakes came
along.
"""

import torch
from torch import Tensor

from stillhouse.receipt import png
from stillhouse.receipt.outcomes import CONTROLS, SHIPPED, Json, Outcomes

SHOWN = 24  # rows of a kind on the page; the rest is counted


def flips(found: Outcomes) -> Json:
    """Return how many right answers turn wrong (negative) and wrong ones right (positive); all null
    when nothing is in production.
    """
    if found.champion is None or found.champion_logits is None or not found.task.decides:
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
    if not found.task.decides:
        return {"copied": 0, "corrected": 0}
    counted = mistakes_of(found, found.logits)
    return {"copied": counted["copied"], "corrected": counted["corrected"]}


def mistakes_of(found: Outcomes, logits: Tensor) -> dict[str, int]:
    """Return the rows of one model beside the teacher's: copied, corrected, other (wrong in another
    way), lost (the teacher was right). `logits`: [N, C].
    """
    teacher, own, truth = (
        found.teacher_logits[found.known].argmax(1),
        logits[found.known].argmax(1),
        found.targets[found.known],
    )
    wrong = teacher != truth
    return {
        "copied": int((wrong & (own == teacher)).sum()),
        "corrected": int((wrong & (own == truth)).sum()),
        "other": int((wrong & (own != teacher) & (own != truth)).sum()),
        "lost": int((~wrong & (own != truth)).sum()),
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
    answers = found.champion_logits[found.known].argmax(1), found.logits[found.known].argmax(1)
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
    teacher, own, truth = (
        found.teacher_logits[found.known].argmax(1),
        found.logits[found.known].argmax(1),
        found.targets[found.known],
    )
    wrong = teacher != truth
    controls = {
        arm: mistakes_of(found, found.of(arm, found.seeds(arm)[0]))
        for arm in CONTROLS
        if found.seeds(arm)
    }
    return {
        "teacher_wrong": int(wrong.sum()),
        "by_arm": {SHIPPED: mistakes_of(found, found.logits), **controls},
        "copied": told(found, wrong & (own == teacher), truth, own, show_rows=show_rows),
        "corrected": told(found, wrong & (own == truth), teacher, own, show_rows=show_rows),
    }


def told(
    found: Outcomes, which: Tensor, before: Tensor, after: Tensor, *, show_rows: bool
) -> list[Json]:
    """Return the first rows of a kind.

    Args:
        found: The outcomes.
        which: Whether a row is of that kind, bool [N known].
        before: What was said before the arrow, [N known] class codes.
        after: What is said after it, [N known].
        show_rows: Whether rows that are pictures are shown; off, only their numbers leave the
            workspace.
    """
    ids, inputs, truth = (
        found.rows[found.known],
        found.inputs[found.known],
        found.targets[found.known],
    )
    drawn = show_rows and png.drawable(found.schema.shape)
    return [
        {
            "row": int(ids[at]),
            "truth": int(truth[at]),
            "before": int(before[at]),
            "after": int(after[at]),
            "image": png.data_uri(inputs[at]) if drawn else None,
        }
        for at in torch.nonzero(which).flatten().tolist()[:SHOWN]
    ]
