"""MI-FGSM: steps along a running sum of gradients, which carries them over small bumps."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.gradient import ascent, margin
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, NonNegative


def mi_fgsm(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    *,
    steps: int = 10,
    decay: float = 1.0,
) -> Tensor:
    """Return for each row the iterate with the smallest margin: g ← decay · g + ∇CE / ‖∇CE‖₁, x ←
    project(x + epsilon / steps · steepest(g)).

    It starts at the clean row and draws nothing. A row that is fooled leaves at once.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        steps: Steps.
        decay: How much of the sum so far is kept, at least 0; the paper's μ.

    Source:
        Dong, Liao, Pang, Su, Zhu, Hu and Li 2018, arXiv:1710.06081, algorithm 1; for l2, equation
        9.
    """
    found = Found.start(model, inputs, targets)
    rows = found.survivors()
    at, gathered = inputs[rows], torch.zeros_like(inputs[rows])
    region = threat.around(at)
    for _ in range(steps):
        if not len(rows):
            return found.inputs
        logits, gradient = ascent(model, at, targets[rows])
        found.note(at, margin(logits, targets[rows]), rows)
        gathered = decay * gathered + _unit(gradient, threat, inputs[rows])
        stay = found.open(rows)
        rows, at, gathered, region = rows[stay], at[stay], gathered[stay], region.take(stay)
        step = region.steepest(gathered, at)
        at = region.project(at.add(step, alpha=threat.epsilon / steps))
    if len(rows):
        found.note(at, margins(model, at, targets[rows]), rows)
    return found.inputs


def _unit(gradient: Tensor, threat: Threat, clean: Tensor) -> Tensor:
    """Return the gradient of what may change, divided by its l1 norm in the threat's units; the
    largest entry goes first, so that none can vanish.
    """
    free = torch.where(threat.space.open(clean), gradient.nan_to_num(0.0, 0.0, 0.0), 0.0)
    tiny, wide = torch.finfo(free.dtype).tiny, (-1, *[1] * (free.dim() - 1))
    free = free / (free * threat.space.scale).flatten(1).abs().amax(1).clamp_min(tiny).view(wide)
    return free / (free * threat.space.scale).flatten(1).abs().sum(1).clamp_min(tiny).view(wide)


class MIFGSM(Attack):
    """The momentum iterative method: made for rows that fool other models too."""

    def __init__(self, *, steps: Count = 10, decay: NonNegative = 1.0) -> None:
        self.steps, self.decay = steps, decay

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        return mi_fgsm(model, inputs, targets, threat, steps=self.steps, decay=self.decay)
