"""The inner part of robust training: where in a ball around each row a loss is largest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from stillhouse.attacks.run import frozen
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat

Ball = Literal["linf", "l2"]
"""The norms that the papers train against; a climb by gradient fits them."""

# How far from its row a search begins, in units of the space's scale: at the row itself a
# divergence from the row's own answer is flat.
NUDGE = 0.001
CROSSING = 4  # steps from the middle of the ball to its edge, as 2/255 of 8/255 in the papers


@dataclass(frozen=True)
class Adversary:
    """Projected gradient ascent on whatever loss a method trains against.

    Unlike the attacks that judge a model it keeps no best iterate and stops for no row: it is run
    in every step, and the papers take its last iterate.

    Attributes:
        norm: linf or l2.
        epsilon: Radius of the ball, in data space; of tables in standard deviations of each column.
        steps: Steps uphill.
        step_size: In epsilon's units; a quarter of epsilon where None.
    """

    norm: Ball
    epsilon: float
    steps: int
    step_size: float | None = None

    def find(
        self,
        model: nn.Module,
        clean: Tensor,
        loss: Callable[[Tensor], Tensor],
        *,
        space: Space,
        generator: torch.Generator,
        anywhere: bool = False,
    ) -> Tensor:
        """Return inputs [B, *shape] inside the ball around `clean`, without gradients.

        Args:
            model: Held in evaluation mode meanwhile, so that its norms do not learn from it.
            clean: Rows [B, *shape].
            loss: Inputs [B, *shape] to losses [B]; climbed.
            space: Bounds, scale and what may change.
            generator: Draws the start.
            anywhere: Begin anywhere in the ball, else close to the row.
        """
        threat = Threat(self.norm, self.epsilon, space)
        size = self.epsilon / CROSSING if self.step_size is None else self.step_size
        at = self._start(threat, clean.detach(), generator, anywhere)
        with frozen(model):
            for _ in range(self.steps):
                at = threat.project(at + size * threat.steepest(_slope(loss, at), clean), clean)
        return at

    def _start(
        self, threat: Threat, clean: Tensor, generator: torch.Generator, anywhere: bool
    ) -> Tensor:
        if anywhere:
            return threat.random(clean, generator)
        drawn = torch.randn(clean.shape, generator=generator).to(clean)
        return threat.project(clean + NUDGE * drawn * threat.space.scale, clean)


def _slope(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    with torch.enable_grad():
        moved = at.detach().clone().requires_grad_(True)
        [gradient] = torch.autograd.grad(loss(moved).sum(), moved)
    return gradient
