"""Depthwise separable convolutions: the most accuracy for the least arithmetic, for images and
series.
"""

from collections import OrderedDict
from typing import ClassVar

from torch import nn

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count
from stillhouse.models.layers import Average, ChannelsFirst

# Halving a smaller side would leave the next 3-wide filter more padding than data.
SMALLEST_HALVED = 4


class DSCNN(Architecture):
    """A plain convolution, then blocks of one filter a channel (depthwise) and a mix of channels
    (pointwise), each with batch norm and ReLU.

    The first convolution and every second block halve what is long enough; positions are averaged.

    Args:
        width: Channels, the same throughout.
        depth: Separable blocks.

    Source:
        Zhang, Suda, Lai and Chandra 2017, arXiv:1711.07128, section 4 (DS-CNN); Howard et al. 2017,
        arXiv:1704.04861, section 3.1.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "series"})

    def __init__(self, *, width: Count = 32, depth: Count = 4) -> None:
        self.width, self.depth = width, depth

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [channels, height, width] or [T, D]; its taps are `stem`,
        `block1`, …, `pooled`, `logits`.
        """
        flat = len(shape) == 2
        channels, sides = (shape[1], shape[:1]) if flat else (shape[0], shape[1:])
        layers: OrderedDict[str, nn.Module] = (
            OrderedDict(channels_first=ChannelsFirst()) if flat else OrderedDict()
        )
        side = min(sides)
        stride, side = _halved(side)
        layers["stem"] = nn.Sequential(*_convolution(channels, self.width, 3, stride, flat=flat))
        for number in range(1, self.depth + 1):
            stride, side = _halved(side) if number % 2 == 0 else (1, side)
            depthwise = _convolution(
                self.width, self.width, 3, stride, flat=flat, groups=self.width
            )
            pointwise = _convolution(self.width, self.width, 1, 1, flat=flat)
            layers[f"block{number}"] = nn.Sequential(*depthwise, *pointwise)
        layers["pooled"] = Average()
        layers["logits"] = nn.Linear(self.width, classes)
        return nn.Sequential(layers)


def _halved(side: int) -> tuple[int, int]:
    """Return stride and side after it."""
    return (2, (side + 1) // 2) if side >= SMALLEST_HALVED else (1, side)


def _convolution(
    incoming: int, outgoing: int, size: int, stride: int, *, flat: bool, groups: int = 1
) -> list[nn.Module]:
    edge = size // 2
    if flat:
        return [
            nn.Conv1d(incoming, outgoing, size, stride, edge, groups=groups, bias=False),
            nn.BatchNorm1d(outgoing),
            nn.ReLU(),
        ]
    return [
        nn.Conv2d(incoming, outgoing, size, stride, edge, groups=groups, bias=False),
        nn.BatchNorm2d(outgoing),
        nn.ReLU(),
    ]
