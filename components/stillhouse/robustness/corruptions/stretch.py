"""Where in time a sensor fails: one stretch for each row and channel."""

import torch
from torch import Tensor


def stretches(inputs: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a stretch that lasts that share of the time, at least one step, for each row and
    channel.

    Args:
        inputs: [B, T, D].
        share: 0 to 1.
        generator: Draws where it begins; every place in which it fits is as likely.

    Returns:
        Whether each value lies in it [B, T, D], bool, and its first step [B, 1, D], int64.
    """
    rows, times, channels = inputs.shape
    lasting = max(1, round(share * times))
    first = (
        (torch.rand(rows, 1, channels, generator=generator) * (times - lasting + 1))
        .long()
        .clamp_max(times - lasting)
    )
    at = torch.arange(times)[None, :, None]
    return (at >= first) & (at < first + lasting), first
