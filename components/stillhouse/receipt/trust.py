"""How far the student can be relied on: calibration and risk beside those of its teacher, agreement
with it by class, slices, rows unlike all others, and the mistakes that it was surest of.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from stillhouse.evaluation import evaluate, label_trust, metrics, ranking, trust
from stillhouse.evaluation.intervals import bootstrap, proportion
from stillhouse.gating.trusted import RESAMPLED
from stillhouse.receipt.arms import exact
from stillhouse.receipt.flips import SHOWN, told
from stillhouse.receipt.outcomes import Json, Outcomes

MEASURES: Mapping[str, Callable[[Tensor, Tensor], float]] = {
    "nll": metrics.nll,
    "brier": metrics.brier,
    "ece": metrics.ece,
    "adaptive_ece": trust.adaptive_ece,
    "aurc": trust.aurc,
}
LEVEL = 0.05  # of all slices together
NOTHING_SURE: Json = {"coverage": [], "unlike": {}, "surest": []}


def trusted(found: Outcomes, *, show_rows: bool) -> Json | None:
    """Return the receipt's `evidence.trust`; None where no answer is right or wrong.

    A row of several labels has no one confidence: of them there is no risk by coverage.

    Args:
        found: The outcomes.
        show_rows: Whether rows that are pictures may be shown.
    """
    if not found.task.right_or_wrong:
        return None
    if found.schema.labels:
        return {
            **NOTHING_SURE,
            "measures": of_labels(found),
            "agreement": whole_rows(found),
            "slices": slices(found),
        }
    logits, truth = found.logits[found.known].double(), found.targets[found.known]
    return {
        "measures": measures(found, logits, truth),
        "coverage": [point._asdict() for point in trust.risk_coverage(logits, truth)],
        "agreement": agreement(found, logits),
        "unlike": unlike(found, logits),
        "slices": slices(found),
        "surest": surest_mistakes(found, logits, truth, show_rows=show_rows),
    }


def whole_rows(found: Outcomes) -> Json:
    """Return in how many rows the student gives the very labels that its teacher gives, exact."""
    return {"all": exact(found.same(found.logits, found.teacher_logits)), "by_class": []}


def of_labels(found: Outcomes) -> list[Json]:
    """Return the calibration of all labels and of the worst, which is named: of the student with
    its interval, of its teacher, and of the control none.
    """
    truth, odds = found.targets[found.known], found.logits[found.known]
    others = {"teacher": found.teacher_logits}
    if found.seeds("none"):
        others["none"] = found.of("none", found.seeds("none")[0])
    told = {who: label_trust.scores(answers[found.known], truth) for who, answers in others.items()}
    weakest = label_trust.worst(odds, truth, found.schema.labels)
    return [
        {
            "name": f"labels_{name}",
            "student": list(interval),
            "teacher": told["teacher"][name],
            "none": told["none"][name] if "none" in told else None,
            "about": weakest[0] if weakest and name == "worst_ece" else "",
        }
        for name, interval in label_trust.intervals(odds, truth).items()
    ]


def measures(found: Outcomes, logits: Tensor, truth: Tensor) -> list[Json]:
    """Return each measure of the student with its interval, of its teacher, and of the control
    none.
    """
    n = len(truth)
    own = {
        **evaluate.intervals(logits, truth),
        "adaptive_ece": bootstrap(
            trust.adaptive_parts(logits, truth), lambda s: metrics.ece_of_sums(s, n), seed=0
        ),
        "aurc": risk_interval(logits, truth),
    }
    control = found.of("none", found.seeds("none")[0]) if found.seeds("none") else None
    teacher = found.teacher_logits[found.known].double()
    return [
        {
            "name": name,
            "student": list(own[name]),
            "teacher": measure(teacher, truth),
            "none": None if control is None else measure(control[found.known].double(), truth),
        }
        for name, measure in MEASURES.items()
    ]


def risk_interval(logits: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """Return the 95 % interval of the area under the risk-coverage curve, by resampled rows."""
    found = RESAMPLED["test/aurc"](logits, truth)
    low, high = np.quantile(found.draws, [0.025, 0.975])
    return (
        max(min(float(low), found.estimate), 0.0),
        found.estimate,
        max(float(high), found.estimate),
    )


def agreement(found: Outcomes, logits: Tensor) -> Json:
    """Return how often the student says what its teacher says, in all and by the teacher's class,
    exact intervals.
    """
    teacher = found.teacher_logits[found.known]
    same = trust.agrees(logits, teacher)
    by_class = trust.by_class(same, teacher.argmax(dim=1), found.schema.classes)
    return {
        "all": exact(same),
        "by_class": [
            {"name": name, "rows": len(own), "share": exact(own)} for name, own in by_class.items()
        ],
    }


def unlike(found: Outcomes, logits: Tensor) -> dict[str, list[float]]:
    """Return by kind of foreign rows how often a test row is answered more surely than one of
    them: the area under the ROC curve, DeLong.
    """
    sure = trust.confidence(logits)
    told_apart = {}
    for kind, answers in sorted(found.unlike.items()):
        scores = torch.cat([sure, trust.confidence(answers)]).numpy()
        own = (torch.arange(len(scores)) < len(sure)).numpy()
        told_apart[kind] = list(ranking.interval(scores, own))
    return told_apart


def slices(found: Outcomes) -> list[Json]:
    """Return the slices with intervals that hold for all of them together (Bonferroni over exact
    ones), the worst first.
    """
    right = found.right(found.logits)
    table = []
    stored = found.verdict.get("slices") or []
    for at, one in enumerate(stored):
        inside = found.slice_rows[f"slice/{at}"][found.known] == 1
        rows, hits = int(inside.sum()), int((inside & right).sum())
        if rows:
            share = list(proportion(hits, rows, 1 - LEVEL / len(stored)))
            kept = {key: one[key] for key in ("name", "val_rows", "val_wrong", "wrong_rows")}
            table.append({**kept, "rows": rows, "right": hits, "share": share})
    return sorted(table, key=lambda row: (row["share"][1], row["name"]))


def surest_mistakes(
    found: Outcomes, logits: Tensor, truth: Tensor, *, show_rows: bool
) -> list[Json]:
    """Return the wrong rows that the student was surest of, in the order of the rows."""
    wrong, sure = ~metrics.correct(logits, truth), trust.confidence(logits)
    order = torch.argsort(torch.where(wrong, sure, -1.0), descending=True, stable=True)
    worst = torch.zeros_like(wrong)
    worst[order[:SHOWN]] = True
    return told(found, worst & wrong, truth, logits.argmax(dim=1), show_rows=show_rows)
