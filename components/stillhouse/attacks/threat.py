"""What an attacker may do: one value, checked again after every attack."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stillhouse.attacks.space import Space

Norm = Literal["linf", "l2"]

# A clean value plus a change is rounded to the grid of float32 around it: so many of its steps do
# not count as leaving the ball.
_ROUNDING = 4 * torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Threat:
    """A ball around each row, cut by the data's bounds.

    Attributes:
        norm: How the perturbation is measured.
        epsilon: Its largest size, in units of `space.scale`: data space for images and series,
            standard deviations of each column for tables.
        space: Bounds, scale and what may change.
    """

    norm: Norm
    epsilon: float
    space: Space

    def size(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return how far [B] inputs [B, *shape] are from their clean rows; a cell missing in both
        is no change.
        """
        return self._norm(self._change(inputs, clean))

    def project(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return inputs [B, *shape] that the threat allows: for linf the nearest, for l2 pulled
        towards `clean`, then cut at the bounds.
        """
        change = torch.where(self.space.open(clean), (inputs - clean) / self.space.scale, 0.0)
        if self.norm == "linf":
            change = change.clamp(-self.epsilon, self.epsilon)
        else:
            size = self._norm(change).clamp_min(torch.finfo(change.dtype).tiny)
            change = change * _rowwise((self.epsilon / size).clamp_max(1.0), change)
        return self.space.clip(clean + change * self.space.scale, clean)

    def steepest(self, gradient: Tensor, clean: Tensor) -> Tensor:
        """Return the change [B, *shape] of size 1 along which a function with this gradient rises
        most; 0 where the gradient is.

        Entries that are not numbers (a missing cell's) count as 0.
        """
        # The gradient with respect to inputs in units of scale; a row's own largest entry is taken
        # out first, so that squares cannot underflow.
        of_unit = torch.where(
            self.space.open(clean), gradient.nan_to_num(0.0, 0.0, 0.0) * self.space.scale, 0.0
        )
        if self.norm == "linf":
            return of_unit.sign() * self.space.scale
        tiny = torch.finfo(of_unit.dtype).tiny
        of_unit = of_unit / _rowwise(of_unit.flatten(1).abs().amax(1).clamp_min(tiny), of_unit)
        return of_unit / _rowwise(self._norm(of_unit).clamp_min(tiny), of_unit) * self.space.scale

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Return a start [B, *shape] drawn evenly from the ball around each row, then cut at the
        bounds.
        """
        if self.norm == "linf":
            change = (torch.rand(clean.shape, generator=generator) * 2 - 1) * self.epsilon
        else:
            normal = torch.where(
                self.space.open(clean), torch.randn(clean.shape, generator=generator), 0.0
            )
            free = self.space.open(clean).flatten(1).sum(1).clamp_min(1)
            radius = self.epsilon * torch.rand(len(clean), generator=generator) ** (1.0 / free)
            change = normal * _rowwise(
                radius / self._norm(normal).clamp_min(torch.finfo(normal.dtype).tiny), normal
            )
        return self.project(clean + change * self.space.scale, clean)

    def allows(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return [B], bool: whether each row is inside the ball (but for float32's rounding) and
        the bounds, and left alone what may not change.
        """
        change = self._change(inputs, clean).abs()
        beyond = (change - _ROUNDING * clean.abs().nan_to_num(0.0) / self.space.scale).clamp_min(
            0.0
        )
        inside = self._norm(beyond) <= self.epsilon * (1 + 2 * _ROUNDING)
        same = (inputs == clean) | (inputs.isnan() & clean.isnan())
        kept = same | self.space.open(clean)
        boxed = same | (self.space.clip(inputs, clean) == inputs)
        return inside & (kept & boxed).flatten(1).all(1)

    def _change(self, inputs: Tensor, clean: Tensor) -> Tensor:
        return torch.where(inputs.isnan() & clean.isnan(), 0.0, (inputs - clean) / self.space.scale)

    def _norm(self, change: Tensor) -> Tensor:
        flat = change.flatten(1)
        return flat.abs().amax(1) if self.norm == "linf" else flat.norm(dim=1)


def _rowwise(values: Tensor, like: Tensor) -> Tensor:
    """Return values [B] shaped to multiply rows [B, *shape]."""
    return values.view(-1, *[1] * (like.dim() - 1))
