"""Layers that several architectures share, each of which a stack of nets knows how to lay side by
side.
"""

from typing import cast

from torch import Tensor, nn


class ChannelsFirst(nn.Module):
    """Turns series [B, T, D] into maps [B, D, T], as convolutions want them."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows.transpose(1, 2)


class Average(nn.Module):
    """Averages maps [B, channels, …] over their positions: [B, channels]."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.flatten(2).mean(dim=2)


class Residual(nn.Module):
    """Adds what a chain of layers makes of its rows to the rows themselves.

    Args:
        change: The chain; it keeps the shape.
    """

    def __init__(self, change: nn.Sequential) -> None:
        super().__init__()
        self.change = change

    def forward(self, rows: Tensor) -> Tensor:
        return cast(Tensor, rows + self.change(rows))
