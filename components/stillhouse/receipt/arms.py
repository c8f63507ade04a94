"""What the teacher gave: the arms of equal budget beside one another, and their differences over
seeds and rows.
"""

import torch
from torch import Tensor

from stillhouse.evaluation.gain import Gain, sentence, two_way
from stillhouse.evaluation.intervals import proportion
from stillhouse.evaluation.knowing import knowing, knowing_labels
from stillhouse.evaluation.measure import ACCURACY, Measure
from stillhouse.receipt.outcomes import SHIPPED, Json, Outcomes

# name on the page → (arm, what it is compared with); the gains themselves stand in teacher_gain
DIFFERENCES = {"hard over none": ("hard", "none"), "over the teacher": (SHIPPED, "teacher")}


def exact(right: Tensor) -> list[float]:
    """Return [low, estimate, high] of the share of rows that are right, exact at 95 %; `right` is
    bool or 0/1, [N].
    """
    return list(proportion(int(right.long().sum()), len(right)))


def merit_by_seed(found: Outcomes, arm: str) -> Tensor:
    """Return how good each seed's model is on each row, [S, N]: right or not, or its absolute error
    with a minus; the teacher is one model, repeated for the seeds of the student.
    """
    if arm == "teacher":
        return found.merit(found.teacher_logits).expand(max(1, len(found.seeds(SHIPPED))), -1)
    return torch.stack([found.merit(found.of(arm, seed)) for seed in found.seeds(arm)])


def arm_measure(merit: Tensor, measure: Measure = ACCURACY) -> list[float]:
    """Return [low, estimate, high] of an arm's mean accuracy or error; `merit` is [S, N].

    The interval draws seeds and rows again, as that of a gain does. Where every answer of every
    seed is right (or wrong) there is nothing to draw, and the exact interval of one model on those
    rows stands in.
    """
    if merit.dtype == torch.bool and (merit.all() or not merit.any()):
        return exact(merit[0])
    spread = two_way(merit, torch.zeros_like(merit))
    return sorted(measure.of_merit(v) for v in (spread.low, spread.estimate, spread.high))


def arms(found: Outcomes) -> list[Json]:
    """Return every trained arm: name, mean test accuracy (or error) with its interval, and that of
    each seed.
    """
    table, measure = [], found.task.measure
    for entry in found.arms:
        merit = merit_by_seed(found, entry["name"])
        told = {f"test_{measure.key}": arm_measure(merit, measure)}
        seeds = [measure.of_merit(mean) for mean in merit.double().mean(dim=1).tolist()]
        table.append({"name": entry["name"], **told, "seeds": seeds})
    return table


def difference(found: Outcomes, arm: str, other: str) -> Gain:
    """Return how much better one arm is than another (of an error: how much less), two-way
    bootstrap over the seeds and rows that both have.
    """
    return two_way(merit_by_seed(found, arm), merit_by_seed(found, other))


def teacher_gain(found: Outcomes) -> list[Json]:
    """Return what the student gained over each control that was trained, each with a sentence that
    claims no more than the interval.
    """
    gains: list[Json] = []
    told = teacher_knows(found)
    knows = told is None or told[0] > 0
    of_all = (
        difference(found, SHIPPED, "none") if found.seeds("none") and found.seeds(SHIPPED) else None
    )
    for control in (entry["name"] for entry in found.arms):
        if control != SHIPPED and found.seeds(control) and found.seeds(SHIPPED):
            gain = difference(found, SHIPPED, control)
            gains.append(
                {
                    "over": control,
                    "estimate": gain.estimate,
                    "interval": [gain.low, gain.high],
                    "seeds": len(found.seeds(control)),
                    "sentence": sentence(control, gain, of_all, found.task, knows=knows),
                }
            )
    return gains


def teacher_knows(found: Outcomes) -> list[float] | None:
    """Return how much likelier the teacher finds a row's class than it finds it for other rows,
    [low, estimate, high] in nats; None where a quantity is told.
    """
    if not found.task.right_or_wrong:
        return None
    told = knowing_labels if found.schema.labels else knowing
    return list(told(found.teacher_logits[found.known], found.targets[found.known]))


def differences(found: Outcomes) -> list[Json]:
    """Return the differences that the page draws beside the gains: what decisions alone gave, and
    what is missing to the teacher.
    """
    drawn = []
    for name, (arm, other) in DIFFERENCES.items():
        if found.seeds(arm) and (other == "teacher" or found.seeds(other)):
            gain = difference(found, arm, other)
            drawn.append(
                {"name": name, "estimate": gain.estimate, "interval": [gain.low, gain.high]}
            )
    return drawn
