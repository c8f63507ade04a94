"""Where a batch of rows may go: worked out once, asked at every step."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stillhouse.attacks.shapes import BALLS, SHAPES, Ball, Shape
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.attacks.threat import Threat


@dataclass(frozen=True)
class Region:
    """The threat around clean rows.

    Attributes:
        threat: Norm, epsilon, space.
        clean: [B, *shape].
        low: [B, *shape], the smallest value that each input may take; its own one where it may not
            change. For linf the ball is in it, so that bringing rows back is one cut.
        high: The largest one.
    """

    threat: "Threat"
    clean: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def around(cls, threat: "Threat", clean: Tensor) -> "Region":
        """Return the region around clean rows [B, *shape]."""
        space = threat.space
        low, high = space.low.minimum(clean), space.high.maximum(clean)
        if threat.norm == "linf":
            reach = torch.where(space.whole, (threat.epsilon * space.scale).floor(), torch.inf)
            reach = reach.minimum(threat.epsilon * space.scale)
            low, high = low.maximum(clean - reach), high.minimum(clean + reach)
        if not bool(space.mutable.all()):
            low = torch.where(space.mutable, low, clean)
            high = torch.where(space.mutable, high, clean)
        return cls(threat, clean, low, high)

    def take(self, rows: Tensor) -> "Region":
        """Return the region around some of the rows [b]: positions, or which."""
        return replace(self, clean=self.clean[rows], low=self.low[rows], high=self.high[rows])

    def project(self, inputs: Tensor) -> Tensor:
        """Return inputs [B, *shape] that the threat allows; missing cells are missing."""
        space = self.threat.space
        if self.threat.norm != "linf":
            inputs = self.clean + self._pulled(inputs) * space.scale
        # one cut, also after a ball: a sum may round over a bound
        cut = inputs.clamp(self.low, self.high)
        return space.hold(cut, self.clean) if space.ordered else cut

    def steepest(self, gradient: Tensor, at: Tensor) -> Tensor:
        """Return the change [B, *shape] of size 1 along which a function with this gradient rises
        most; 0 where the gradient is 0 or not a number.

        Args:
            gradient: With respect to the inputs, at `at`.
            at: [B, *shape], inside the region.
        """
        space = self.threat.space
        if self.threat.norm == "linf":
            return gradient.sign().nan_to_num_(0.0).mul_(space.scale)
        slope = torch.where(self.free, gradient.nan_to_num(0.0, 0.0, 0.0) * space.scale, 0.0)
        room = torch.where(slope > 0, at < self.high, at > self.low)
        return self._ball.steepest(slope, room) * space.scale

    def random(self, generator: torch.Generator) -> Tensor:
        """Return a start [B, *shape] drawn evenly from the ball around each row, then cut."""
        change = self._ball.draw(self.free, self.threat.epsilon, generator)
        return self.project(self.clean + change * self.threat.space.scale)

    @cached_property
    def free(self) -> Tensor:
        """Which inputs [B, *shape], bool, may change."""
        return self.threat.space.open(self.clean)

    @property
    def _ball(self) -> Ball:
        norm = self.threat.norm
        if norm not in BALLS:
            raise UsageError(
                f"the threat {norm} has no direction that a gradient could be followed in.",
                fix=f"Use an attack that takes {norm}, or one of the norms {', '.join(BALLS)}.",
            )
        return BALLS[norm]

    def _pulled(self, inputs: Tensor) -> Tensor:
        shape: Shape = SHAPES[self.threat.norm]
        scale, epsilon = self.threat.space.scale, self.threat.epsilon
        change = torch.where(self.free, (inputs - self.clean) / scale, 0.0)
        low, high = (
            torch.where(self.free, (bound - self.clean) / scale, 0.0)
            for bound in (self.low, self.high)
        )
        return shape.pull(change, low, high, epsilon)
