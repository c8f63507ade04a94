"""Cascade: cheap attacks first, so that dear ones are spent on few rows."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.apgd_targeted import APGDTargeted
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.compose import in_turn
from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


class Cascade(Attack):
    """FGSM, short PGD, APGD-CE, APGD towards a few goals, Square as long as it pays: AutoAttack's
    verdict at a small part of its cost.
    """

    def __init__(
        self, *, steps: Count = 50, goals: Count = 5, queries: Count = 2000, patience: Count = 150
    ) -> None:
        self.attacks: tuple[Attack, ...] = (
            FGSM(),
            PGD(steps=max(1, steps // 5)),
            APGDCE(steps=steps),
            APGDTargeted(steps=max(1, steps // 2), goals=goals),
            Square(queries=queries, patience=patience),
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
