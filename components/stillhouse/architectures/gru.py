"""A recurrent net: the smallest memory of a series that learns what to keep."""

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count
from stillhouse.models.recurrent import traced

GATES = 3  # reset, update and the new value


class GRU(Architecture):
    """Gated recurrent layers; the last step's state decides.

    It is exported as one operator a layer, in seconds at any length.

    Args:
        width: Units a layer.
        depth: Layers.
        both_ways: Whether a second set of layers reads the series backwards.

    Source:
        Cho et al. 2014, arXiv:1406.1078, section 2.3.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def __init__(self, *, width: Count = 32, depth: Count = 1, both_ways: bool = False) -> None:
        self.width, self.depth, self.both_ways = width, depth, both_ways

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [T, D]; its taps are `states`, `last`, `logits`."""
        return _Recurrent(shape, classes, self.width, self.depth, both_ways=self.both_ways)


class _Recurrent(nn.Module):
    def __init__(
        self, shape: tuple[int, ...], classes: int, width: int, depth: int, *, both_ways: bool
    ) -> None:
        super().__init__()
        self.states = _States(shape, width, depth, both_ways=both_ways)
        self.last = _Last(width, both_ways=both_ways)
        self.logits = nn.Linear(width * (2 if both_ways else 1), classes)

    def forward(self, rows: Tensor) -> Tensor:
        return cast(Tensor, self.logits(self.last(self.states(rows))))


class _States(nn.Module):
    """Every step's state [B, T, width], so that it can be tapped as one tensor."""

    def __init__(self, shape: tuple[int, ...], width: int, depth: int, *, both_ways: bool) -> None:
        super().__init__()
        steps, features = shape
        self.gru = nn.GRU(
            features, width, num_layers=depth, batch_first=True, bidirectional=both_ways
        )
        ways = 2 if both_ways else 1
        incoming = [features, *[width * ways] * (depth - 1)]
        self.row_macs = steps * ways * sum(GATES * width * (given + width) for given in incoming)

    def forward(self, rows: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return traced(self.gru, rows)
        states, _ = self.gru(rows)
        return cast(Tensor, states)


class _Last(nn.Module):
    """The state after the last step; backwards, that is the one at the first."""

    def __init__(self, width: int, *, both_ways: bool) -> None:
        super().__init__()
        self.width, self.both_ways = width, both_ways

    def forward(self, states: Tensor) -> Tensor:
        if not self.both_ways:
            return states[:, -1]
        forwards, backwards = states[:, -1, : self.width], states[:, 0, self.width :]
        return torch.cat([forwards, backwards], dim=1)
