"""A picture of a row, small enough to stand in the page itself: an encoder for 8-bit grey and RGB,
nothing more.
"""

import base64
import struct
import zlib

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST = 64  # pixels a side; a page with 100 rows stays below 3 MB
_COLOURS = {1: 0, 3: 2}  # channels → PNG colour type


def drawable(shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape are pictures that the encoder knows: [1 or 3, height, width]."""
    return len(shape) == 3 and shape[0] in _COLOURS


def encode(pixels: Tensor) -> bytes:
    """Return PNG bytes, the same for the same pixels.

    Args:
        pixels: [1 or 3, height, width], in [0, 1]; outside is cut, NaN is 0.

    Source:
        PNG specification, third edition, sections 5, 9 and 10.
    """
    channels, height, width = pixels.shape
    levels = (torch.nan_to_num(pixels.float()).clamp(0, 1) * 255).round().to(torch.uint8)
    by_line = levels.permute(1, 2, 0).reshape(height, width * channels)
    unfiltered = torch.cat([torch.zeros(height, 1, dtype=torch.uint8), by_line], dim=1)
    header = struct.pack(">2I5B", width, height, 8, _COLOURS[channels], 0, 0, 0)
    packed = zlib.compress(unfiltered.numpy().tobytes(), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", packed)
        + _chunk(b"IEND", b"")
    )


def data_uri(pixels: Tensor) -> str:
    """Return a picture as text for `src`; one that is larger than 64 pixels a side is averaged
    down.
    """
    height, width = pixels.shape[-2:]
    scale = min(1.0, LARGEST / max(height, width))
    if scale < 1:
        pixels = F.adaptive_avg_pool2d(
            pixels, (max(1, round(height * scale)), max(1, round(width * scale)))
        )
    return "data:image/png;base64," + base64.b64encode(encode(pixels)).decode()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
