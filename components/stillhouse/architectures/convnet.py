"""A small convolutional net for images and series."""

from collections import OrderedDict
from typing import ClassVar

from torch import nn

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count
from stillhouse.models.layers import Average, ChannelsFirst

# Halving a smaller side would leave the next 3-wide filter more padding than data.
SMALLEST_HALVED = 4


class ConvNet(Architecture):
    """Stages of convolution (3 wide), batch norm and ReLU; each stage halves what is long enough
    and doubles the filters, then positions are averaged.

    Args:
        width: Filters of the first stage.
        depth: Stages.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "series"})

    def __init__(self, *, width: Count = 16, depth: Count = 3) -> None:
        self.width, self.depth = width, depth

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [channels, height, width] or [T, D]; its taps are `stage1`, …,
        `pooled`, `logits`.
        """
        flat = len(shape) == 2
        channels, sides = (shape[1], shape[:1]) if flat else (shape[0], shape[1:])
        layers: OrderedDict[str, nn.Module] = (
            OrderedDict(channels_first=ChannelsFirst()) if flat else OrderedDict()
        )
        side = min(sides)
        for number in range(1, self.depth + 1):
            halved = side >= SMALLEST_HALVED and number < self.depth
            filters = self.width * 2 ** (number - 1)
            layers[f"stage{number}"] = _stage(channels, filters, flat=flat, halved=halved)
            channels, side = filters, side // 2 if halved else side
        layers["pooled"] = Average()
        layers["logits"] = nn.Linear(channels, classes)
        return nn.Sequential(layers)


def _stage(incoming: int, outgoing: int, *, flat: bool, halved: bool) -> nn.Module:
    parts: list[nn.Module] = (
        [
            nn.Conv1d(incoming, outgoing, 3, padding=1, bias=False),
            nn.BatchNorm1d(outgoing),
            nn.ReLU(),
        ]
        if flat
        else [
            nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(),
        ]
    )
    if halved:
        parts.append(nn.MaxPool1d(2) if flat else nn.MaxPool2d(2))
    return nn.Sequential(*parts)
