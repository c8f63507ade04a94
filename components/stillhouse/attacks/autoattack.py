"""AutoAttack: four attacks that fail for different reasons, one after the other, with nothing to
tune.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.apgd_dlr import APGDDLR
from stillhouse.attacks.apgd_targeted import APGDTargeted
from stillhouse.attacks.attack import Attack
from stillhouse.attacks.compose import in_turn
from stillhouse.attacks.eot import EOT
from stillhouse.attacks.fab import FAB
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count

STARTS, DRAWS = 5, 20


class AutoAttack(Attack):
    """The published compositions; only rows that withstood an attack are given to the next.

    standard: APGD-CE, targeted APGD, targeted FAB, Square. plus: APGD-CE and APGD-DLR and FAB with
    five starts each, Square, then the two targeted ones. rand, for models that draw: APGD-CE and
    APGD-DLR on the mean of 20 answers.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, section 6 and the authors' code; steps, goals and
        queries as published.
    """

    def __init__(
        self,
        *,
        version: Literal["standard", "plus", "rand"] = "standard",
        steps: Count = 100,
        goals: Count = 9,
        queries: Count = 5000,
    ) -> None:
        targeted = APGDTargeted(steps=steps, goals=goals)
        far = FAB(steps=steps, goals=goals, targeted=True)
        made: dict[str, tuple[Attack, ...]] = {
            "standard": (APGDCE(steps=steps), targeted, far, Square(queries=queries)),
            "plus": (
                APGDCE(steps=steps, restarts=STARTS),
                APGDDLR(steps=steps, restarts=STARTS),
                FAB(steps=steps, goals=goals, restarts=STARTS),
                Square(queries=queries),
                targeted,
                far,
            ),
            "rand": tuple(
                EOT(attack={"name": name, "steps": steps}, draws=DRAWS)
                for name in ("apgd_ce", "apgd_dlr")
            ),
        }
        self.attacks = made[version]

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
