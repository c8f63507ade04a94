"""How a norm measures a change, and which changes it allows: one class a norm, in units of the
space's scale.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from stillhouse.attacks.simplex import into_l1

Norm = Literal[
    "linf", "l2", "l1", "l0", "patch", "geometry", "category", "channels", "drift", "skew"
]

# Of the entries that may still rise, the share that a step for l1 moves: a step along one entry
# alone would need a step for each.
_L1_SHARE = 0.01


class Shape(ABC):
    """Changes [B, *shape] of at most some size, 0 where nothing may change."""

    @abstractmethod
    def size(self, change: Tensor) -> Tensor:
        """Return how large each change is, [B]."""

    @abstractmethod
    def pull(self, change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
        """Return changes of size epsilon at most between `low` and `high`, near the given ones."""


class Ball(Shape):
    """A shape in which every direction is open, so that gradients can be followed."""

    @abstractmethod
    def steepest(self, slope: Tensor, room: Tensor) -> Tensor:
        """Return the changes of size 1 along which the slope [B, *shape] rises most; 0 where it is
        0.

        Args:
            slope: Finite; 0 where nothing may change.
            room: Bool: where a step along the slope's sign is not stopped by a bound at once.
        """

    @abstractmethod
    def draw(self, free: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
        """Return changes drawn from the ball, 0 outside `free` [B, *shape]."""


class Linf(Ball):
    """The largest entry."""

    def size(self, change: Tensor) -> Tensor:
        return change.flatten(1).abs().amax(1)

    def pull(self, change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
        return change.clamp(-epsilon, epsilon).clamp(low, high)

    def steepest(self, slope: Tensor, room: Tensor) -> Tensor:  # noqa: ARG002
        return slope.sign()

    def draw(self, free: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
        return (_even(free.shape, free, generator) * 2 - 1) * epsilon


class L2(Ball):
    """The length."""

    def size(self, change: Tensor) -> Tensor:
        length: Tensor = change.flatten(1).norm(dim=1)
        return length

    def pull(self, change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
        size = self.size(change).clamp_min(torch.finfo(change.dtype).tiny)
        return (change * wide((epsilon / size).clamp_max(1.0), change)).clamp(low, high)

    def steepest(self, slope: Tensor, room: Tensor) -> Tensor:  # noqa: ARG002
        # A row's own largest entry is taken out first, so that squares cannot underflow.
        tiny = torch.finfo(slope.dtype).tiny
        slope = slope / wide(slope.flatten(1).abs().amax(1).clamp_min(tiny), slope)
        return slope / wide(self.size(slope).clamp_min(tiny), slope)

    def draw(self, free: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(free.shape, generator=generator).to(free.device)
        normal = torch.where(free, drawn, 0.0)
        count = free.flatten(1).sum(1).clamp_min(1)
        radius = epsilon * _even(free.shape[:1], free, generator) ** (1.0 / count)
        size = self.size(normal).clamp_min(torch.finfo(normal.dtype).tiny)
        return normal * wide(radius / size, normal)


class L1(Ball):
    """The sum of the entries."""

    def size(self, change: Tensor) -> Tensor:
        return change.flatten(1).abs().sum(1)

    def pull(self, change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
        flat, least, most = (part.expand_as(change).flatten(1) for part in (change, low, high))
        return into_l1(flat, least, most, epsilon).view_as(change)

    def steepest(self, slope: Tensor, room: Tensor) -> Tensor:
        rises = torch.where(room, slope, 0.0).flatten(1)
        most = max(1, round(rises.shape[1] * _L1_SHARE)) if rises.numel() else 1
        least = rises.abs().topk(min(most, max(rises.shape[1], 1)), dim=1).values[:, -1:]
        step = torch.where(rises.abs() >= least, rises.sign(), 0.0)
        return (step / step.abs().sum(1, keepdim=True).clamp_min(1.0)).view_as(slope)

    def draw(self, free: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
        # Exponential gaps, one more than there are entries, divided by their sum: even in the ball.
        lengths = -_even(free.shape, free, generator).clamp_min(1e-12).log() * free
        signs = (_even(free.shape, free, generator) < 0.5) * 2 - 1
        rest = -_even(free.shape[:1], free, generator).clamp_min(1e-12).log()
        return epsilon * signs * lengths / wide(self.size(lengths) + rest, lengths)


def _even(shape: torch.Size, like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw on the CPU, for rows anywhere."""
    return torch.rand(shape, generator=generator).to(like.device)


class L0(Shape):
    """How many places change: pixels of an image, cells of anything else."""

    def size(self, change: Tensor) -> Tensor:
        return (_places(change) > 0).flatten(1).sum(1).to(change.dtype)

    def pull(self, change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
        boxed = change.clamp(low, high)
        places = _places(boxed)
        most = min(int(epsilon), places[0].numel()) if len(places) else 0
        if most < 1:
            return torch.zeros_like(boxed)
        rank = places.flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(places)
        kept = rank < most
        return torch.where(kept[:, None] if boxed.dim() == 4 else kept, boxed, 0.0)


class Patch(Shape):
    """The side of the smallest square that holds all changes, as a share of the shorter side; of a
    series the stretch of time, as a share of all of it.
    """

    def size(self, change: Tensor) -> Tensor:
        changed = _plane(change) > 0
        spans = [_span(changed.any(dim=axis)) for axis in (2, 1)]
        side = spans[0] if changed.shape[2] == 1 else torch.maximum(*spans)
        return side.to(change.dtype) / shorter(changed)

    def pull(self, change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
        boxed = change.clamp(low, high)
        plane = _plane(boxed)
        side = patch_side(plane, epsilon)
        if side < 1 or not len(boxed):
            return torch.zeros_like(boxed)
        window = (side, min(side, plane.shape[2]))
        weight = F.avg_pool2d(plane[:, None], window, stride=1)[:, 0]
        best = weight.flatten(1).argmax(1)
        top, left = best // weight.shape[2], best % weight.shape[2]
        down = _within(top, side, plane.shape[1])[:, :, None]
        kept = down & _within(left, window[1], plane.shape[2])[:, None]
        return torch.where(_unplane(kept, boxed), boxed, 0.0)


def patch_side(plane: Tensor, epsilon: float) -> int:
    """Return the largest side of a patch in planes [B, height, width], in places; 0: none fits."""
    return min(int(epsilon * shorter(plane) + 1e-6), plane.shape[1])


def shorter(plane: Tensor) -> int:
    """Return the side that a patch is measured by; what is one wide has its height only."""
    return plane.shape[1] if plane.shape[2] == 1 else min(plane.shape[1:])


def _places(change: Tensor) -> Tensor:
    return change.abs().amax(1) if change.dim() == 4 else change.abs()


def _plane(change: Tensor) -> Tensor:
    """Return by how much each place [B, height, width] changes in its channels; what is no image is
    one wide.
    """
    if change.dim() == 4:
        return change.abs().sum(1)
    return (
        change.abs().flatten(2).sum(2)[:, :, None] if change.dim() > 2 else change.abs()[..., None]
    )


def _unplane(kept: Tensor, like: Tensor) -> Tensor:
    if like.dim() == 4:
        return kept[:, None]
    return kept.view(*kept.shape[:2], *[1] * (like.dim() - 2))


def _span(line: Tensor) -> Tensor:
    """Return from the first to the last true place of lines [B, L]; 0 where there is none."""
    length = line.shape[1]
    at = torch.arange(length)
    last = torch.where(line, at, -1).amax(1)
    first = torch.where(line, at, length).amin(1)
    return (last - first + 1).clamp_min(0)


def _within(start: Tensor, side: int, length: int) -> Tensor:
    at = torch.arange(length)
    return (at >= start[:, None]) & (at < start[:, None] + side)


def wide(values: Tensor, like: Tensor) -> Tensor:
    """Return values [B] shaped to go with rows [B, *shape]."""
    return values.view(-1, *[1] * (like.dim() - 1))


BALLS: dict[Norm, Ball] = {"linf": Linf(), "l2": L2(), "l1": L1()}
SHAPES: dict[Norm, Shape] = {**BALLS, "l0": L0(), "patch": Patch()}
