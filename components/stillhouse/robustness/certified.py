"""What is proved to hold inside a ball, whoever attacks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.attacks.run import frozen
from stillhouse.attacks.threat import Threat
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.robustness.case import Ball
from stillhouse.robustness.intervals import Unbounded
from stillhouse.robustness.linear import Around, leads
from stillhouse.robustness.subject import Subject

# Of a row's largest logit: bounds are worked in double precision, the deployed file rounds.
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


def certify(ball: Ball, subject: Subject, stands: Tensor) -> tuple[Certified | None, str]:
    """Return what linear bounds prove of the torch student, or why they prove nothing.

    A ball of l2 or l1 lies inside the box of the same epsilon: what is proved holds in both.

    Args:
        ball: Of a norm whose balls gradients can be followed in.
        subject: On whom.
        stands: [N], bool: rows that are looked at; of those that an attack has moved already
            nothing can be proved.
    """
    space = ball.within(subject.space)
    if bool(subject.inputs.isnan().any()):
        return None, "rows with missing cells have no bounds."
    rows = torch.nonzero(stands).flatten()
    part = subject.only(rows)
    box = Threat("linf", ball.epsilon, space).around(part.inputs)
    radii = torch.where(box.high > box.low, ball.epsilon * space.scale, 0.0)
    around = Around(part.inputs, box.low, box.high, ball.norm, radii)
    holds = torch.zeros(len(stands), dtype=torch.bool)
    try:
        with frozen(subject.model), torch.no_grad():
            least = leads(subject.model, around, part.targets)
            if len(rows):
                size = logits_of(subject.model, part.inputs).abs().amax(dim=1)
                holds[rows] = least > SLACK * (1 + size)
    except Unbounded as why:
        return None, str(why)
    return Certified(ball, "linear bounds", holds), ""
