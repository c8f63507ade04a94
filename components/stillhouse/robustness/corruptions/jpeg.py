"""JPEG: an image that was stored at a low quality."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The encoder's quality, 1 to 100.
LEVELS = (80, 65, 50, 25, 10)
# ITU-T T.81, table K.1: how coarsely each frequency of an 8 x 8 block is kept at quality 50, on a
# scale of 0 to 255.
_TABLE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)


def cosines() -> Tensor:
    """Return the orthonormal cosine transform of eight values, [8, 8]: frequencies by places."""
    place = torch.arange(8, dtype=torch.float64)
    made = (math.pi / 8 * (place[None] + 0.5) * place[:, None]).cos() * math.sqrt(2 / 8)
    made[0] /= math.sqrt(2)
    return made.float()


def steps(quality: int) -> Tensor:
    """Return the quantisation table [8, 8] of a quality, as the usual encoder (libjpeg) scales
    it.
    """
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return ((_TABLE * scale + 50) / 100).floor().clamp(1, 255)


def stored(images: Tensor, quality: int) -> Tensor:
    """Return images [B, channels, height, width] in [0, 1] as their quantised blocks of 8 x 8 give
    them back; edges are padded with the last pixel.
    """
    rows, channels, height, width = images.shape
    tall, wide = -(-height // 8), -(-width // 8)
    planes = F.pad(
        images * 255 - 128, (0, wide * 8 - width, 0, tall * 8 - height), mode="replicate"
    )
    blocks = planes.reshape(rows, channels, tall, 8, wide, 8).transpose(3, 4)
    basis, table = cosines(), steps(quality)
    kept = ((basis @ blocks @ basis.T) / table).round() * table
    planes = (basis.T @ kept @ basis).transpose(3, 4).reshape(rows, channels, tall * 8, wide * 8)
    return ((planes[..., :height, :width] + 128) / 255).clamp(0.0, 1.0)


class JPEG(Corruption):
    """Quantises the cosine transform of 8 x 8 blocks, which is all that JPEG loses.

    Channels are stored one by one, with the table for brightness.
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
        return stored(inputs, LEVELS[severity - 1]) if len(inputs) else inputs
