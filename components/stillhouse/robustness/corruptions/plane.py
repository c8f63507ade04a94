"""What several corruptions of images do: measure in pixels that fit the size, convolve each row
with its own kernel, draw clouds, move pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def pixel(images: Tensor) -> float:
    """Return how many pixels a length of 1 is: 1 up to a shorter side of 32, in proportion above,
    so that severities mean the same at any size.
    """
    return max(1.0, min(images.shape[-2:]) / 32)


def grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row [height, 1] and the column [1, width] of each pixel, from 0."""
    height, width = images.shape[-2:]
    return torch.arange(height, dtype=images.dtype)[:, None], torch.arange(
        width, dtype=images.dtype
    )[None]


def offsets(radius: int) -> tuple[Tensor, Tensor]:
    """Return vertical and horizontal distances [2 radius + 1, 2 radius + 1] from the middle of a
    kernel.
    """
    line = torch.arange(-radius, radius + 1, dtype=torch.float32)
    return line[:, None].expand(len(line), -1), line[None].expand(len(line), -1)


def convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Return images [B, channels, height, width], each convolved with its kernel [B or 1, k, k] of
    sum 1; beyond the edge the last pixel goes on.
    """
    if not len(images):
        return images
    rows, channels, height, width = images.shape
    radius = kernels.shape[-1] // 2
    planes = F.pad(
        images.reshape(1, rows * channels, height, width), (radius,) * 4, mode="replicate"
    )
    weights = kernels.expand(rows, -1, -1).repeat_interleave(channels, dim=0)[:, None]
    return F.conv2d(planes, weights.to(images.dtype), groups=rows * channels).reshape(images.shape)


def clouds(images: Tensor, generator: torch.Generator, *, decay: float) -> Tensor:
    """Draw fields [B, 1, height, width] in [0, 1]: random grids of 2, 3, 5, 9, … points, blown up
    and added, each finer one divided by `decay` once more.

    The numbers that are drawn depend on the size only, so that severities share their clouds.
    """
    size, found, weight, points = (
        images.shape[-2:],
        torch.zeros(len(images), 1, *images.shape[-2:]),
        1.0,
        2,
    )
    while points - 1 <= max(size):
        drawn = torch.rand(len(images), 1, points, points, generator=generator)
        found = found + weight * (
            F.interpolate(drawn, size=tuple(size), mode="bilinear", align_corners=True)
            if len(images)
            else found
        )
        weight, points = weight / decay, 2 * points - 1
    low, high = (edge(found, dim=(-2, -1), keepdim=True) for edge in (torch.amin, torch.amax))
    return (found - low) / (high - low).clamp_min(1e-6)


def sample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images [B, channels, height, width] read at these places [B, height, width], in pixels
    from 0.

    Between pixels linearly; beyond the edge the last pixel goes on.
    """
    if not len(images):
        return images
    height, width = images.shape[-2:]
    places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    return F.grid_sample(
        images,
        places.to(images.dtype).expand(len(images), height, width, 2),
        padding_mode="border",
        align_corners=False,
    )
