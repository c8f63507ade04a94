"""Spatter: drops on the lens."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.blur import gaussian_blur
from stillhouse.robustness.corruptions.plane import pixel

# The share of the lens that is wet.
LEVELS = (0.04, 0.08, 0.13, 0.18, 0.25)
# how large drops are: the blur of the noise that they are cut from, in pixels of an image of 32
DROP = 0.8
WATER = (175 / 255, 238 / 255, 238 / 255)  # the original's colour of water


class Spatter(Corruption):
    """Lays pale drops with soft edges over the image, for each row its own.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261) turn to mud at the last two severities; here it
    is water throughout, and only its share rises.
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
        if not len(inputs):
            return inputs
        field = gaussian_blur(
            torch.randn(len(inputs), 1, *inputs.shape[-2:], generator=generator),
            DROP * pixel(inputs),
        )
        flat = field.flatten(1)
        edge = flat.quantile(1 - LEVELS[severity - 1], dim=1).view(-1, 1, 1, 1)
        soft = flat.std(dim=1, correction=0).clamp_min(1e-6).view(-1, 1, 1, 1) * 0.3
        wet = ((field - edge) / soft + 0.5).clamp(0.0, 1.0)
        tone = torch.tensor(
            WATER if inputs.shape[1] == 3 else (sum(WATER) / 3,) * inputs.shape[1]
        ).view(1, -1, 1, 1)
        return inputs + wet * (tone - inputs)
