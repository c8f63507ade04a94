"""APGD-CE: Auto-PGD on the cross-entropy."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.auto_pgd import auto_pgd
from stillhouse.attacks.found import Found
from stillhouse.attacks.losses import odds
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


def apgd_ce(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 100,
    restarts: int = 1,
) -> Tensor:
    """Return for each row the iterate with the smallest margin that Auto-PGD met on the
    cross-entropy, which it follows as log odds.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts.
        steps: Steps a start.
        restarts: Starts.

    Source:
        Croce and Hein 2020, arXiv:2003.01690; see `losses.odds` for why the log odds are the same
        attack.
    """
    found = Found.start(model, inputs, targets)
    auto_pgd(
        model,
        inputs,
        targets,
        threat,
        generator,
        lambda z, rows: odds(z, targets[rows]),
        found,
        steps=steps,
        restarts=restarts,
    )
    return found.inputs


class APGDCE(Attack):
    """Auto-PGD on the cross-entropy: no step size to choose, and stronger than PGD at the same
    cost.
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
        return apgd_ce(
            model, inputs, targets, threat, generator, steps=self.steps, restarts=self.restarts
        )
