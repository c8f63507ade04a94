"""Optimisers of many models at once: each member's own learning rate, decay and moments, in a few
operations over all weights [k, P].

They take the same steps as torch's fused ones, up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from stillhouse.training.optimizers import (
    AdamSettings,
    AdamWSettings,
    OptimizerSettings,
    SGDSettings,
)

EPSILON = 1e-8  # torch's own, below Adam's quotient


@dataclass
class Descent:
    """Optimisers of k members side by side.

    Attributes:
        kind: The class of all members' settings.
        settings: Name → [k, 1].
        matrices: How many of a member's weights, from the first, decay.
        moments: What is remembered of each weight, by name, [k, P].
        steps: Taken so far.
    """

    kind: type[OptimizerSettings]
    settings: dict[str, Tensor]
    matrices: int
    moments: dict[str, Tensor]
    steps: int = 0
    nesterov: bool = field(default=False)

    @classmethod
    def of(cls, settings: Sequence[OptimizerSettings], weights: Tensor, matrices: int) -> "Descent":
        """Return the optimisers of these settings, all of one class, before their first step.

        Args:
            settings: k.
            weights: [k, P].
            matrices: How many of the P decay.
        """
        kind = type(settings[0])
        held = {
            each.name: torch.tensor(
                [[getattr(own, each.name)] for own in settings], dtype=weights.dtype
            ).to(weights.device)
            for each in fields(kind)
            if each.name != "nesterov"
        }
        names = ("velocity",) if kind is SGDSettings else ("mean", "square")
        moments = {name: torch.zeros_like(weights, requires_grad=False) for name in names}
        nesterov = any(isinstance(own, SGDSettings) and own.nesterov for own in settings)
        return cls(kind, held, matrices, moments, 0, nesterov)

    @torch.no_grad()
    def step(self, weights: Tensor, gradients: Tensor, share: Tensor) -> None:
        """Move the weights.

        Args:
            weights: [k, P], changed in place.
            gradients: [k, P]; may be changed.
            share: Of each member's full learning rate, [k, 1].
        """
        self.steps += 1
        rate = self.settings["lr"] * share
        decay, matrices = self.settings["weight_decay"], weights[:, : self.matrices]
        if self.kind is AdamWSettings:
            matrices.mul_(1 - rate * decay)
        else:
            gradients[:, : self.matrices].addcmul_(matrices, decay.expand_as(matrices))
        if self.kind is SGDSettings:
            weights.sub_(self._pushed(gradients).mul(rate))
        else:
            weights.sub_(self._adapted(gradients).mul_(rate))

    def _pushed(self, gradients: Tensor) -> Tensor:
        """SGD's direction, with torch's momentum: the first step takes the gradient as it is."""
        momentum, velocity = self.settings["momentum"], self.moments["velocity"]
        if self.steps == 1:
            velocity.copy_(gradients)
        else:
            velocity.mul_(momentum).add_(gradients)
        return gradients + momentum * velocity if self.nesterov else velocity

    def _adapted(self, gradients: Tensor) -> Tensor:
        """Adam's direction (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1)."""
        first, second = self.settings["beta1"], self.settings["beta2"]
        mean, square = self.moments["mean"], self.moments["square"]
        mean.lerp_(gradients, 1 - first)
        square.mul_(second).addcmul_(gradients, gradients * (1 - second))
        unbiased = (1 - second**self.steps).sqrt()
        below = square.sqrt().div_(unbiased).add_(EPSILON)
        return (mean / below).div_(1 - first**self.steps)

    def keep(self, members: Sequence[int]) -> "Descent":
        """Return the optimisers of some of the members, in that order."""
        at = list(members)
        return Descent(
            self.kind,
            {name: held[at] for name, held in self.settings.items()},
            self.matrices,
            {name: held[at].clone() for name, held in self.moments.items()},
            self.steps,
            self.nesterov,
        )


def of_one_kind(settings: Sequence[OptimizerSettings]) -> bool:
    """Return whether several members' optimisers can take their steps together."""
    first = settings[0]
    same = all(type(own) is type(first) for own in settings)
    if isinstance(first, SGDSettings):
        return same and all(getattr(own, "nesterov", None) == first.nesterov for own in settings)
    return same and isinstance(first, AdamWSettings | AdamSettings)
