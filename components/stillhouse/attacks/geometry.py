"""Turned and shifted images: a finite set of them, so that membership can be checked."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# What epsilon 1 stands for: those of Engstrom et al. 2019 (arXiv:1712.02779), 30 degrees and about
# a tenth of the side.
DEGREES, SHARE = 30.0, 0.1
TURNS, SHIFTS = 31, 5  # their grid: so many angles, and shifts along each axis


@dataclass(frozen=True)
class Move:
    """One way to move an image.

    Attributes:
        turn: Counter-clockwise, as a share of `DEGREES`, -1 to 1.
        down: As a share of `SHARE` of the height.
        right: Of the width.
    """

    turn: float
    down: float
    right: float

    @property
    def size(self) -> float:
        """The epsilon that allows it."""
        return max(abs(self.turn), abs(self.down), abs(self.right))


def moves(epsilon: float) -> Iterator[Move]:
    """Yield every move that epsilon allows, the largest first, without standing still.

    The grid is that of epsilon: 31 angles by 5 by 5 shifts from -epsilon to epsilon.
    """
    turns, shifts = (
        [epsilon * (2 * at / (points - 1) - 1) for at in range(points)]
        for points in (TURNS, SHIFTS)
    )
    found = [Move(*one) for one in itertools.product(turns, shifts, shifts)]
    yield from sorted((one for one in found if one.size > 0), key=lambda one: -one.size)


def move(images: Tensor, how: Move) -> Tensor:
    """Return images [B, channels, height, width] turned about their middle and shifted; what comes
    in from beyond the edge is 0.
    """
    height, width = images.shape[-2:]
    angle = math.radians(how.turn * DEGREES)
    cos, sin, tall = math.cos(angle), math.sin(angle), height / width
    across, down = 2 * SHARE * how.right, 2 * SHARE * how.down
    # grid_sample asks where each pixel comes from, in units of half a side
    theta = torch.tensor([[cos, -sin * tall, -across], [sin / tall, cos, -down]])
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False)


def size(inputs: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    """Return the size [B] of the smallest move of epsilon's grid that makes these inputs of the
    clean images [B, channels, height, width]; infinite where none does.
    """
    if clean.dim() != 4:
        return torch.full((len(clean),), torch.inf)
    found = torch.where((inputs == clean).flatten(1).all(1), 0.0, torch.inf)
    for how in moves(epsilon):
        rows = torch.nonzero(found.isinf()).flatten()
        if not len(rows):
            break
        same = (move(clean[rows], how) == inputs[rows]).flatten(1).all(1)
        found[rows[same]] = how.size
    return found
