"""FGSM: one step of the largest size that the threat allows."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.gradient import ascent
from stillhouse.attacks.threat import Threat


def fgsm(model: nn.Module, inputs: Tensor, targets: Tensor, threat: Threat) -> Tensor:
    """Return x + epsilon · (steepest direction of the cross-entropy at x), inside the threat.

    For linf the direction is the gradient's sign; for l2 the gradient divided by its length.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: x, clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.

    Source:
        Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572, section 4.
    """
    _, gradient = ascent(model, inputs, targets)
    return threat.project(inputs + threat.epsilon * threat.steepest(gradient, inputs), inputs)


class FGSM(Attack):
    """The fast gradient (sign) method: cheap, and too weak to call anything robust by."""

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        return fgsm(model, inputs, targets, threat)
