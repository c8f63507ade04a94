"""Elastic: a sheet that is pulled about."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.blur import gaussian_blur
from stillhouse.robustness.corruptions.plane import grid, pixel, sample

# How far pixels move (root mean square), in pixels of an image of 32.
LEVELS = (0.3, 0.5, 0.7, 0.9, 1.2)
SMOOTH = 1.5  # over how many such pixels the movement is alike


class Elastic(Corruption):
    """Moves every pixel by a smooth random field, for each row its own.

    Source:
        Simard, Steinkraus and Platt 2003, section 2: smoothed noise, scaled to its strength.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        noise = torch.rand(len(inputs), 2, *inputs.shape[-2:], generator=generator) * 2 - 1
        field = gaussian_blur(noise, SMOOTH * pixel(inputs)) if len(inputs) else noise
        strength = (
            field.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
            if len(inputs)
            else 1.0
        )
        moved = field / strength * (LEVELS[severity - 1] * pixel(inputs))
        down, across = grid(inputs)
        return sample(inputs, down + moved[:, 0], across + moved[:, 1])
