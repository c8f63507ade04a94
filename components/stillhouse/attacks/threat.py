"""What an attacker may do: one value, checked again after every attack."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from stillhouse.attacks import made
from stillhouse.attacks.region import Region
from stillhouse.attacks.shapes import SHAPES, Norm, wide
from stillhouse.attacks.space import Space

# A clean value plus a change is rounded to the grid of float32 around it: so many of its steps do
# not count as leaving the ball.
_ROUNDING = 4 * torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Threat:
    """What may be done to each row: a ball around it, cut by the data's bounds.

    Attributes:
        norm: How a change is measured. linf: its largest entry; l2: its length; l1: the sum of its
            entries; l0: how many places change, pixels or cells; patch: the side of the square that
            holds it, as a share of the image's (of a series: the stretch of time); geometry: the
            image is turned and shifted, and nothing else; category: how many categories of a table
            have another level; channels: how many channels of a series are silent; drift: a line is
            added to each; skew: the clock runs wrong.
        epsilon: Its largest size. For linf, l2 and l1 in units of `space.scale`: data space for
            images and series, standard deviations of each column for tables, or the columns' own
            units (`Space.within`). For l0, category and channels a number of places. For geometry 1
            stands for 30 degrees and a tenth of the side. For drift where the lines may end, in
            standard deviations of each channel; for skew by which share the clock is off.
        space: Bounds, scale and what may change; [0, 1] and everything where none is given.

    Example:
        >>> import torch
        >>> threat = Threat("linf", 8 / 255)
        >>> clean = torch.tensor([[0.0, 0.5]])
        >>> threat.project(clean + 1, clean)
        tensor([[0.0314, 0.5314]])
    """

    norm: Norm
    epsilon: float
    space: Space = field(default_factory=Space.box)

    def __str__(self) -> str:
        return f"{self.norm} {self.epsilon:g}"

    def on(self, device: torch.device) -> "Threat":
        """Return the same threat for rows on a device."""
        return replace(self, space=self.space.on(device))

    def around(self, clean: Tensor) -> Region:
        """Return where rows [B, *shape] may go; a search that asks often keeps it."""
        return Region.around(self, clean)

    def size(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return how far [B] inputs [B, *shape] are from their clean rows; a cell missing in both
        is no change.
        """
        if self.norm in made.MADE:
            return made.size(self.norm, inputs, clean, self.epsilon, self.space)
        return SHAPES[self.norm].size(self._change(inputs, clean))

    def project(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return inputs [B, *shape] that the threat allows: for linf and l1 the nearest, for l2
        pulled towards `clean`, then cut at the bounds; for what is no ball (geometry, category, …)
        the clean row where they are not allowed.
        """
        if self.norm in made.MADE:
            return torch.where(wide(self.allows(inputs, clean), clean), inputs, clean)
        return self.around(clean).project(inputs)

    def landing(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return what `project` does where no column is whole; else allowed inputs whose whole
        numbers lie next to `inputs` away from `clean`, where the threat lets them: a search that
        has just crossed a boundary stays beyond it.
        """
        if not bool(self.space.whole.any()):
            return self.project(inputs, clean)
        return self.snap(self.space.outward(inputs, clean), clean)

    def steepest(self, gradient: Tensor, clean: Tensor) -> Tensor:
        """Return the change [B, *shape] of size 1 along which a function with this gradient rises
        most; 0 where the gradient is 0 or nothing may change.

        Raises:
            UsageError: The norm has no directions (l0, patch, geometry, …).
        """
        region = self.around(clean)
        return torch.where(region.free, region.steepest(gradient, clean), 0.0)

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Return a start [B, *shape] drawn evenly from the ball around each row, then cut at the
        bounds. Errors as `steepest`.
        """
        return self.around(clean).random(generator)

    def snap(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return allowed inputs [B, *shape] whose whole-numbered columns hold whole numbers: the
        nearest, or where those are outside the threat the nearest towards `clean`.
        """
        rounded = self.space.rounded(inputs, clean)
        allowed = self.allows(rounded, clean)
        if allowed.all():
            return rounded
        inward = self.space.inward(self.project(inputs, clean), clean)
        # towards clean each by itself, two columns may meet that the constraint keeps apart
        held = self.space.hold(inward, clean)
        return torch.where(wide(allowed, clean), rounded, held)

    def allows(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return [B], bool: whether each row is inside the ball (but for float32's rounding) and
        the bounds, left alone what may not change, and whole what was.
        """
        if self.norm in made.MADE:
            return made.allows(self.norm, inputs, clean, self.epsilon, self.space)
        change = self._change(inputs, clean).abs()
        beyond = (change - _ROUNDING * clean.abs().nan_to_num(0.0) / self.space.scale).clamp_min(
            0.0
        )
        measured = change if self.norm in ("l0", "patch") else beyond
        inside = SHAPES[self.norm].size(measured) <= self.epsilon * (1 + 2 * _ROUNDING)
        same = (inputs == clean) | (inputs.isnan() & clean.isnan())
        kept = same | self.space.open(clean)
        boxed = same | (self.space.clip(inputs, clean) == inputs)
        whole = same | ~self.space.whole | (clean != clean.round()) | (inputs == inputs.round())
        return inside & (kept & boxed & whole).flatten(1).all(1)

    def _change(self, inputs: Tensor, clean: Tensor) -> Tensor:
        return torch.where(inputs.isnan() & clean.isnan(), 0.0, (inputs - clean) / self.space.scale)


__all__ = ["Norm", "Threat"]
