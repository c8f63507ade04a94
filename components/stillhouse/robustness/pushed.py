"""A student that tells a quantity under attack: how far a small change pushes its answer away from
the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import frozen
from stillhouse.attacks.threat import Threat
from stillhouse.evaluation.intervals import bootstrap, proportion
from stillhouse.evaluation.tasks import Regression
from stillhouse.robustness.case import Case
from stillhouse.robustness.subject import Subject

Tell = Callable[[Tensor], Tensor]


def push(
    tell: Tell,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    *,
    steps: int = 20,
) -> Tensor:
    """Return for each row the point with the largest squared error that was met on two climbs: one
    that raises the answer from the row as it is, and one that lowers it.

    The squared error rises either way; where the answer is right its own gradient is 0, so that
    each climb follows the answer and not the error.

    Args:
        tell: Rows [B, *shape] to the one number told of each [B]; differentiable.
        inputs: Clean rows.
        targets: [B], the truth.
        threat: linf, l2 or l1.
        steps: Of each climb, of 2.5 · epsilon / steps.

    Source:
        Madry et al. 2018, arXiv:1706.06083, section 2.1, on the squared error.
    """
    best = inputs.clone()
    with torch.no_grad():
        largest = (tell(inputs) - targets).abs()
    for side in (1.0, -1.0):
        at = inputs
        for _ in range(steps + 1):
            with torch.enable_grad():
                moved = at.detach().clone().requires_grad_(True)
                told = tell(moved)
                [gradient] = torch.autograd.grad(told.sum(), moved)
            error = (told.detach() - targets).abs()
            worse = error > largest
            best[worse], largest[worse] = at[worse], error[worse]
            step = threat.steepest(side * gradient, inputs)
            at = threat.project(at + 2.5 * threat.epsilon / steps * step, inputs)
    return threat.snap(best, inputs)


@dataclass(frozen=True)
class Pushed:
    """What an attack came to.

    Attributes:
        case: The attack and its threat.
        errors: [N], absolute, of the deployed model at the worse of the clean row and what the
            attack made of it.
        tolerance: How far off an answer may be, in the target's unit.
    """

    case: Case
    errors: Tensor
    tolerance: float

    @property
    def within(self) -> Tensor:
        """Which rows [N], bool, stay within the tolerance."""
        return self.errors <= self.tolerance

    def as_dict(self, seed: int) -> dict[str, Any]:
        """Return JSON's form of it; `mae` with the interval of resampled rows, `within` exact.

        Args:
            seed: Of the resampled rows.
        """
        rows = self.errors[:, None]
        return {
            **self.case.as_dict(),
            "mae": list(bootstrap(rows, lambda sums: sums[:, 0] / len(rows), seed=seed)),
            "tolerance": self.tolerance,
            "within": list(proportion(int(self.within.sum()), len(rows))),
        }

    def metrics(self) -> dict[str, float]:
        """Return estimates by metric path."""
        return {
            f"robust/{self.case.label}/mae": float(self.errors.mean()),
            f"robust/{self.case.label}/within": float(self.within.double().mean()),
        }


def pushed(case: Case, subject: Subject, task: Regression, tolerance: float) -> Pushed:
    """Attack a subject; the deployed model has the last word on every row.

    Args:
        case: PGD.
        subject: On whom; targets are quantities.
        task: Which of the answers is the one number.
        tolerance: How far off an answer may be.
    """
    attack = case.attack
    steps = attack.steps if isinstance(attack, PGD) else PGD().steps
    model: nn.Module = subject.model

    def errors(inputs: Tensor) -> Tensor:
        return -task.merit(subject.answer(inputs), subject.targets)

    with frozen(model):
        moved = push(
            lambda inputs: task.point(model(inputs)),
            subject.inputs,
            subject.targets,
            case.threat(subject.space),
            steps=steps,
        )
    return Pushed(case, errors(subject.inputs).maximum(errors(moved)), tolerance)
