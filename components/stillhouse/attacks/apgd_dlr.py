"""APGD-DLR: Auto-PGD on a ratio of logits that no scale of them can hide."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.auto_pgd import auto_pgd
from stillhouse.attacks.found import Found
from stillhouse.attacks.losses import dlr
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


def apgd_dlr(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 100,
    restarts: int = 1,
) -> Tensor:
    """Return for each row the iterate with the smallest margin that Auto-PGD met on the difference
    of logits ratio; on two classes, on the margin.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts.
        steps: Steps a start.
        restarts: Starts.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, equation 6.
    """
    found = Found.start(model, inputs, targets)
    auto_pgd(
        model,
        inputs,
        targets,
        threat,
        generator,
        lambda z, rows: dlr(z, targets[rows]),
        found,
        steps=steps,
        restarts=restarts,
    )
    return found.inputs


class APGDDLR(Attack):
    """Auto-PGD on the difference of logits ratio: it sees past a model that multiplies its
    logits.
    """

    def __init__(self, *, steps: Count = 100, restarts: Count = 1) -> None:
        self.steps, self.restarts = steps, restarts

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return apgd_dlr(
            model, inputs, targets, threat, generator, steps=self.steps, restarts=self.restarts
        )
