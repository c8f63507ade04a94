"""What is proved to hold inside a ball, whoever attacks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.attacks.run import frozen
from stillhouse.attacks.threat import Threat
from stillhouse.robustness.case import Ball
from stillhouse.robustness.intervals import Unbounded, bounds
from stillhouse.robustness.subject import Subject

# Of the largest logit: bounds are worked in float32, and the deployed file rounds otherwise.
SLACK = 1e-4


@dataclass(frozen=True)
class Certified:
    """Which rows no attack inside the ball can move.

    Attributes:
        ball: Norm and epsilon.
        method: How it was proved.
        holds: [N], bool.
    """

    ball: Ball
    method: str
    holds: Tensor


def certify(ball: Ball, subject: Subject) -> tuple[Certified | None, str]:
    """Return what interval bounds prove of the torch student, or why they prove nothing.

    A ball of l2 or l1 lies inside the box of the same epsilon, so that what holds in the box holds
    in it.

    Args:
        ball: Of a norm whose balls gradients can be followed in.
        subject: On whom.
    """
    threat = Threat("linf", ball.epsilon, ball.within(subject.space))
    if bool(subject.inputs.isnan().any()):
        return None, "rows with missing cells have no interval bounds."
    region = threat.around(subject.inputs)
    try:
        with frozen(subject.model), torch.no_grad():
            low, high = bounds(subject.model, region.low, region.high)
    except Unbounded as why:
        return None, str(why)
    own = subject.targets[:, None]
    least = low.gather(1, own)[:, 0]
    most = high.scatter(1, own, -torch.inf).amax(dim=1)
    slack = SLACK * (1 + high.abs().amax(1))
    return Certified(ball, "interval bounds", least > most + slack), ""
