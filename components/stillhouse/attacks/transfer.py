"""Transfer: rows that are adversarial to the teacher, tried on the student."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.gradient import ascent, margin
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


def transfer(
    surrogate: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 20,
) -> Tensor:
    """Return for each row the iterate that the surrogate gets wrong by most.

    Rows that fool the surrogate stay: a row that only just crosses one model's boundary rarely
        crosses another's, so the climb goes on to the end.

    Args:
        surrogate: A model whose gradients are known, data space [B, *shape] to logits [B, C], in
            eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the start.
        steps: Steps of 2.5 · epsilon / steps.

    Source:
        Papernot, McDaniel and Goodfellow 2016, arXiv:1605.07277; the steps are those of `pgd`.
    """
    step_size = 2.5 * threat.epsilon / steps
    at = threat.random(inputs, generator)
    best, lowest = at, torch.full((len(inputs),), torch.inf)
    for _ in range(steps + 1):
        logits, gradient = ascent(surrogate, at, targets)
        margins = margin(logits, targets)
        better = margins < lowest
        best = torch.where(better.view(-1, *[1] * (at.dim() - 1)), at, best)
        lowest = torch.where(better, margins, lowest)
        at = threat.project(at + step_size * threat.steepest(gradient, inputs), inputs)
    return best


class Transfer(Attack):
    """PGD on the teacher's gradients: what an attacker can do who owns the teacher, or has trained
    one like it.
    """

    on_surrogate = True

    def __init__(self, *, steps: Count = 20) -> None:
        self.steps = steps

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return transfer(model, inputs, targets, threat, generator, steps=self.steps)
