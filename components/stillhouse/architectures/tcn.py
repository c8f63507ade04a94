"""A temporal convolutional net: each layer looks twice as far back."""

from collections import OrderedDict
from typing import Annotated, ClassVar, cast

from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count


class TCN(Architecture):
    """Residual blocks of two causal convolutions with dilation 1, 2, 4, …, batch norm and ReLU;
    then time is averaged.

    The paper normalises weights; batch norm stands here instead, because it folds into the
    convolution of a device.

    Args:
        width: Channels.
        depth: Blocks; the last value sees 1 + 2 (size − 1)(2^depth − 1) steps.
        size: Taps of a filter.
        dropout: Share of channels dropped while training.

    Source:
        Bai, Kolter and Koltun 2018, arXiv:1803.01271, section 3.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def __init__(
        self,
        *,
        width: Count = 32,
        depth: Annotated[int, Interval(ge=1, le=12)] = 4,
        size: Annotated[int, Interval(ge=2, le=15)] = 3,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    ) -> None:
        self.width, self.depth, self.size, self.dropout = width, depth, size, dropout

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [T, D]; its taps are `block1`, …, `pooled`, `logits`."""
        layers: OrderedDict[str, nn.Module] = OrderedDict(channels_first=_ChannelsFirst())
        channels = shape[1]
        for number in range(self.depth):
            layers[f"block{number + 1}"] = _Block(
                channels, self.width, self.size, 2**number, self.dropout
            )
            channels = self.width
        layers["pooled"] = _Average()
        layers["logits"] = nn.Linear(channels, classes)
        return nn.Sequential(layers)


class _Block(nn.Module):
    def __init__(
        self, incoming: int, outgoing: int, size: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.back = (size - 1) * dilation
        self.conv1 = nn.Conv1d(incoming, outgoing, size, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm1d(outgoing)
        self.conv2 = nn.Conv1d(outgoing, outgoing, size, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm1d(outgoing)
        self.dropout = nn.Dropout1d(dropout) if dropout else nn.Identity()
        self.shortcut = nn.Conv1d(incoming, outgoing, 1) if incoming != outgoing else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        found = self.dropout(F.relu(self.bn1(self.conv1(self._led(maps)))))
        found = self.dropout(F.relu(self.bn2(self.conv2(self._led(found)))))
        return F.relu(found + self.shortcut(maps))

    def _led(self, maps: Tensor) -> Tensor:
        """Zeros before the beginning, none after the end: no step sees a later one."""
        return F.pad(maps, (self.back, 0))

    def __call__(self, maps: Tensor) -> Tensor:
        return cast(Tensor, super().__call__(maps))


class _ChannelsFirst(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.transpose(1, 2)


class _Average(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=2)
