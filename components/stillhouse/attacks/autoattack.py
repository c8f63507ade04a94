"""AutoAttack: four attacks that fail for different reasons, one after the other, with nothing to
tune.
"""

import torch
from torch import Tensor, nn

from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.apgd_targeted import APGDTargeted
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.compose import in_turn
from stillhouse.attacks.fab import FAB
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


class AutoAttack(Attack):
    """The standard version: APGD-CE, targeted APGD, targeted FAB, Square; only rows that withstood
    the ones before are given to the next.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, section 6; steps, goals and queries as published.
    """

    def __init__(self, *, steps: Count = 100, goals: Count = 9, queries: Count = 5000) -> None:
        self.attacks: tuple[Attack, ...] = (
            APGDCE(steps=steps),
            APGDTargeted(steps=steps, goals=goals),
            FAB(steps=steps, goals=goals, targeted=True),
            Square(queries=queries),
        )

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return in_turn(self.attacks, model, inputs, targets, threat, generator)
