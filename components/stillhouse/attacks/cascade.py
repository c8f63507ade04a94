"""Cascade: cheap attacks first, so that dear ones are spent on few rows."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.apgd_dlr import APGDDLR
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.compose import in_turn
from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count


class Cascade(Attack):
    """FGSM, short PGD, APGD-CE, APGD-DLR, Square: close to AutoAttack's verdict at a small part of
    its cost; only survivors go on.
    """

    def __init__(self, *, steps: Count = 50, queries: Count = 1000) -> None:
        short = max(1, steps // 5)
        self.attacks: tuple[Attack, ...] = (
            FGSM(),
            PGD(steps=short),
            APGDCE(steps=steps),
            APGDDLR(steps=steps),
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
