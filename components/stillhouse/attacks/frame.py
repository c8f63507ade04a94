"""Rows of any kind seen as channels over a plane, so that one search with windows serves all of
them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Frame:
    """Channels over height and width.

    What is no image is one wide: a series is its channels over time, a table one channel over its
        columns.

    Attributes:
        shape: Of a row as it is.
        size: Channels, height, width.
    """

    shape: tuple[int, ...]
    size: tuple[int, int, int]

    @classmethod
    def of(cls, rows: Tensor) -> "Frame":
        """Return the frame of rows [B, *shape]: [C, H, W] is an image, [T, D] a series, anything
        else flat.
        """
        shape = tuple(rows.shape[1:])
        if len(shape) == 3:
            return cls(shape, (shape[0], shape[1], shape[2]))
        return cls(shape, (shape[1], shape[0], 1) if len(shape) == 2 else (1, math.prod(shape), 1))

    def put(self, rows: Tensor) -> Tensor:
        """Return rows [B, *shape] as [B, channels, height, width]."""
        return (rows.transpose(1, 2) if len(self.shape) == 2 else rows).reshape(
            len(rows), *self.size
        )

    def take(self, framed: Tensor) -> Tensor:
        """Return what `put` made as [B, *shape] again."""
        return (
            framed[..., 0].transpose(1, 2)
            if len(self.shape) == 2
            else framed.reshape(len(framed), *self.shape)
        )

    def side(self, share: float) -> int:
        """Return the side of a square window with that share of the plane (of a stretch where it is
        one wide): at least 1, at most the height.
        """
        area = self.size[1] * self.size[2] * share
        return max(1, min(round(math.sqrt(area) if self.size[2] > 1 else area), self.size[1]))

    def window(self, side: int, generator: torch.Generator) -> Window:
        """Draw a window of that side; every place in which it fits is as likely, the last row and
        column included.
        """
        places = []
        for length in self.size[1:]:
            long = min(side, length)
            start = int(torch.randint(0, length - long + 1, (), generator=generator))
            places.append(slice(start, start + long))
        return places[0], places[1]

    def placed(self, side: int, at: Sequence[float]) -> Window:
        """Return the window of that side that lies so far down and across, each a share in [0, 1)
        of the places in which it fits; shares drawn evenly are places drawn evenly.
        """
        places = []
        for length, share in zip(self.size[1:], at, strict=True):
            long = min(side, length)
            start = min(int(share * (length - long + 1)), length - long)
            places.append(slice(start, start + long))
        return places[0], places[1]

    def signs(self, rows: int, generator: torch.Generator, *, width: int = 1) -> Tensor:
        """Draw −1 or 1 for each row and channel, [rows, channels, 1, width]."""
        return (
            torch.randint(0, 2, (rows, self.size[0], 1, width), generator=generator) * 2 - 1
        ).float()
