"""What the teacher gave: the arms of equal budget beside one another, and their differences over
seeds and rows.
"""

import torch
from torch import Tensor

from stillhouse.evaluation.gain import Gain, sentence, two_way
from stillhouse.evaluation.intervals import proportion
from stillhouse.receipt.outcomes import SHIPPED, Json, Outcomes

# name on the page → (arm, what it is compared with); the gains themselves stand in teacher_gain
DIFFERENCES = {"hard over none": ("hard", "none"), "over the teacher": (SHIPPED, "teacher")}


def exact(right: Tensor) -> list[float]:
    """Return [low, estimate, high] of the share of rows that are right, exact at 95 %; `right` is
    bool or 0/1, [N].
    """
    return list(proportion(int(right.long().sum()), len(right)))


def right_by_seed(found: Outcomes, arm: str) -> Tensor:
    """Return whether each seed's model got each row right, bool [S, N]; the teacher is one model,
    repeated for the seeds of the student.
    """
    if arm == "teacher":
        return found.right(found.teacher_logits).expand(max(1, len(found.seeds(SHIPPED))), -1)
    return torch.stack([found.right(found.of(arm, seed)) for seed in found.seeds(arm)])


def arm_accuracy(right: Tensor) -> list[float]:
    """Return [low, estimate, high] of an arm's mean accuracy; `right` is bool [S, N].

    The interval draws seeds and rows again, as that of a gain does. Where every answer of every
    seed is right (or wrong) there is nothing to draw, and the exact interval of one model on those
    rows stands in.
    """
    if right.all() or not right.any():
        return exact(right[0])
    spread = two_way(right, torch.zeros_like(right))
    return [spread.low, spread.estimate, spread.high]


def arms(found: Outcomes) -> list[Json]:
    """Return every trained arm: name, mean test accuracy with its interval, and the accuracy of
    each seed.
    """
    table = []
    for entry in found.arms:
        right = right_by_seed(found, entry["name"])
        seeds = right.double().mean(dim=1).tolist()
        table.append({"name": entry["name"], "test_accuracy": arm_accuracy(right), "seeds": seeds})
    return table


def difference(found: Outcomes, arm: str, other: str) -> Gain:
    """Return the accuracy of one arm minus another's, two-way bootstrap over the seeds and rows
    that both have.
    """
    return two_way(right_by_seed(found, arm), right_by_seed(found, other))


def teacher_gain(found: Outcomes) -> list[Json]:
    """Return what the student gained over each control that was trained, each with a sentence that
    claims no more than the interval.
    """
    gains = []
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
                    "sentence": sentence(control, gain, of_all),
                }
            )
    return gains


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
