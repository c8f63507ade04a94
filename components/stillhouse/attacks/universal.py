"""Universal: one perturbation for all rows."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import margins
from stillhouse.attacks.gradient import ascent
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


def universal(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    passes: int = 10,
    batch: int = 128,
) -> Tensor:
    """Return the rows, all moved by the one change that fools most of them.

    The change climbs the mean loss over batch after batch, each row's part of a step of the same
    size, and is brought back into the ball; bounds and what may not change cut it row by row. The
    best change at the end of a pass is kept.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape], all that the change is for.
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the order.
        passes: Through the rows.
        batch: Rows a step.

    Source:
        Shafahi, Najibi, Xu, Dickerson, Davis and Goldstein 2020, arXiv:1811.11304, algorithm 2,
        without its training; the idea is Moosavi-Dezfooli et al.'s, arXiv:1610.08401.
    """
    scale = threat.space.scale
    origin = torch.zeros_like(inputs[:1])
    change, best, most = origin, inputs, -1
    for step in range(passes if len(inputs) else 0):
        for rows in torch.split(torch.randperm(len(inputs), generator=generator), batch):
            at = threat.project(inputs[rows] + change, inputs[rows])
            _, gradient = ascent(model, at, targets[rows])
            unit = threat.steepest(gradient, inputs[rows]) / scale
            mean = unit.nan_to_num(0.0).mean(dim=0, keepdim=True)
            size = 2.5 * threat.epsilon / passes * (1 - step / passes)
            moved = change + size * threat.steepest(mean, origin)
            change = _pulled(moved, threat)
        tried = threat.project(inputs + change, inputs)
        fooled = int((margins(model, tried, targets) < 0).sum())
        best, most = (tried, fooled) if fooled > most else (best, most)
    return best


def _pulled(change: Tensor, threat: Threat) -> Tensor:
    """Return a change inside the ball; bounds are each row's own business."""
    unit = change / threat.space.scale
    size = threat.size(change, torch.zeros_like(change))
    return unit * (threat.epsilon / size.clamp_min(1e-12)).clamp_max(1.0) * threat.space.scale


class Universal(Attack):
    """One change that fits on everything: what can be printed once, or added to a stream that
    nobody looks into.
    """

    at_once: ClassVar[bool] = True

    def __init__(self, *, passes: Count = 10) -> None:
        self.passes = passes

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return universal(model, inputs, targets, threat, generator, passes=self.passes)
