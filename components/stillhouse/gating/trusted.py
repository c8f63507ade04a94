"""What rules may ask of a student's trust: calibration, the risk behind its confidence, the worst
class and slice, agreement with its teacher, and whether it is less sure of rows unlike all others.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stillhouse.evaluation import metrics as evaluation
from stillhouse.evaluation import trust
from stillhouse.gating.evidence import Groups, Measured, Ranked, Resampled, Rows
from stillhouse.gating.resampled import resample, resample_counts

if TYPE_CHECKING:
    from stillhouse.gating.collect import Outcomes

FLIPS = ("flips/negative", "flips/worst_class", "flips/worst_slice")


def measured(found: "Outcomes", asked: Collection[str]) -> dict[str, Measured]:
    """Return evidence by metric.

    Args:
        found: What earlier steps left.
        asked: Metrics that rules name; of those that cost resampling only these are made.
    """
    logits, targets = found.logits["student"][found.known], found.targets[found.known]
    right = evaluation.correct(logits, targets)
    told: dict[str, Measured] = {
        name: make(logits, targets) for name, make in RESAMPLED.items() if name in asked
    }
    if found.classes:
        told["test/worst_class"] = _groups(trust.by_class(right, targets, found.classes), "class ")
    if sliced := of_slices(found, right):
        sure = of_slices(found, trust.confidence(logits))
        told["slices/worst"] = Groups(
            sliced, {name: float(own.mean()) for name, own in sure.items()}
        )
    if "teacher" in found.logits:
        told |= _fidelity(found, logits)
    for kind, unlike in found.unlike.items():
        told[f"ood/{kind}"] = _ranked(logits, unlike)
    return {**told, **_flips(found, right, targets)}


def _fidelity(found: "Outcomes", logits: Tensor) -> dict[str, Measured]:
    """Agreement on all rows, and on those that the teacher gives to one class."""
    teacher = found.logits["teacher"][found.known]
    same = trust.agrees(logits, teacher)
    told: dict[str, Measured] = {"fidelity/agreement": Rows({"student": same.numpy()})}
    if found.classes:
        answered = trust.by_class(same, teacher.argmax(dim=1), found.classes)
        told["fidelity/worst_class"] = _groups(answered, "where the teacher says ")
    return told


def _flips(found: "Outcomes", right: Tensor, targets: Tensor) -> dict[str, Measured]:
    """Rows that the champion had right and the student has wrong, in all and by group."""
    if "champion" not in found.logits:
        return {}
    lost = found.right(found.logits["champion"]) & ~right
    told: dict[str, Measured] = {"flips/negative": Rows({"student": lost.numpy()})}
    if found.classes:
        by_class = _groups(trust.by_class(lost, targets, found.classes), "class ")
        of = {f"class {name}": targets == code for code, name in enumerate(found.classes)}
        told["flips/worst_class"] = Groups(
            by_class.outcomes, inside={name: of[name].numpy() for name in by_class.outcomes}
        )
    return {**told, **slice_flips(found, lost)}


def _groups(outcomes: Mapping[str, Tensor], before: str) -> Groups:
    return Groups({f"{before}{name}": own.numpy() for name, own in outcomes.items()})


def slice_flips(found: "Outcomes", lost: Tensor) -> dict[str, Measured]:
    """Return in which rows of each slice the champion was right and the student is not; nothing
    where no row is in a slice.

    Args:
        found: What earlier steps left.
        lost: [N known], bool.
    """
    inside = {name: rows[found.known].numpy() for name, rows in found.slices.items()}
    sliced = of_slices(found, lost)
    return {"flips/worst_slice": Groups(sliced, inside=inside)} if sliced else {}


def of_slices(found: "Outcomes", outcomes: Tensor) -> dict[str, np.ndarray]:
    """Return the outcomes [N known] of each slice's rows, slices without a row left out."""
    inside = {name: rows[found.known] for name, rows in found.slices.items()}
    return {name: outcomes[rows].numpy() for name, rows in inside.items() if rows.any()}


def _ranked(logits: Tensor, unlike: Tensor) -> Ranked:
    """How often a row of the test split is answered more surely than one that is none."""
    scores = torch.cat([trust.confidence(logits), trust.confidence(unlike)])
    own = torch.arange(len(scores)) < len(logits)
    return Ranked({"student": scores.numpy()}, own.numpy(), made=len(unlike))


def _adaptive(logits: Tensor, targets: Tensor) -> Resampled:
    n = len(targets)
    parts = trust.adaptive_parts(logits, targets)
    return resample(parts, lambda sums: evaluation.ece_of_sums(sums, n))


def _aurc(logits: Tensor, targets: Tensor) -> Resampled:
    order = trust.surest_first(logits)
    wrong = (~evaluation.correct(logits, targets)[order]).double()
    return resample_counts(lambda counts: trust.aurc_of(wrong, counts), len(targets))


RESAMPLED: Mapping[str, Callable[[Tensor, Tensor], Resampled]] = {
    "test/adaptive_ece": _adaptive,
    "test/aurc": _aurc,
}
