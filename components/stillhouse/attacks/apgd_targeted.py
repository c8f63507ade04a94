"""Targeted APGD: Auto-PGD towards each of the likeliest wrong classes in turn."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.auto_pgd import auto_pgd
from stillhouse.attacks.found import Found
from stillhouse.attacks.gradient import rivals
from stillhouse.attacks.losses import dlr_targeted
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


def apgd_targeted(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 100,
    restarts: int = 1,
    goals: int = 9,
) -> Tensor:
    """Return for each row the iterate with the smallest margin that Auto-PGD met on its way to any
    goal.

    The goals of a row are the wrong classes that the model gives the largest logits on the clean
    row; a row that is fooled is led to no further goal.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts.
        steps: Steps a start.
        restarts: Starts a goal.
        goals: Goals a row, at most; all other classes where there are fewer.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, equation 7 and section 6 (APGD-T).
    """
    found = Found.start(model, inputs, targets)
    with torch.no_grad():
        aims = rivals(model(inputs), targets, goals)
    for aim in aims.unbind(dim=1):
        _toward(
            aim, model, inputs, targets, threat, generator, found, steps=steps, restarts=restarts
        )
    return found.inputs


def _toward(
    aim: Tensor,
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    found: Found,
    *,
    steps: int,
    restarts: int,
) -> None:
    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        return dlr_targeted(logits, targets[rows], aim[rows])

    auto_pgd(model, inputs, targets, threat, generator, loss, found, steps=steps, restarts=restarts)


class APGDTargeted(Attack):
    """Auto-PGD towards the likeliest wrong classes: the strongest of the three, and `goals` times
    as dear on rows that withstand it.
    """

    def __init__(self, *, steps: Count = 100, restarts: Count = 1, goals: Count = 9) -> None:
        self.steps, self.restarts, self.goals = steps, restarts, goals

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return apgd_targeted(
            model,
            inputs,
            targets,
            threat,
            generator,
            steps=self.steps,
            restarts=self.restarts,
            goals=self.goals,
        )
