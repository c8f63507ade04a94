"""A perceptron for tables: residual blocks with layer norm, which train at many depths and widths
without care.
"""

from collections import OrderedDict
from typing import Annotated, ClassVar

from annotated_types import Interval
from torch import nn

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count
from stillhouse.models.layers import Residual


class TableMLP(Architecture):
    """A linear layer, then blocks of layer norm, a wider hidden layer with ReLU and a way back,
    each added to what came in.

    Its rows are the encoded ones: numbers standardised, a mark where a cell is missing, a category
        as one feature a value.

    Args:
        width: Units between blocks.
        depth: Blocks.
        hidden: Units inside a block, as a multiple of the width.
        dropout: Share of hidden units dropped while training.

    Source:
        Gorishniy, Rubachev, Khrulkov and Babenko 2021, arXiv:2106.11959, section 3.2 (their ResNet,
        with layer norm in place of batch norm).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})

    def __init__(
        self,
        *,
        width: Count = 64,
        depth: Count = 2,
        hidden: Annotated[int, Interval(ge=1, le=8)] = 2,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    ) -> None:
        self.width, self.depth, self.hidden, self.dropout = width, depth, hidden, dropout

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net for rows [D]; its taps are `stem`, `block1`, …, `norm`, `logits`."""
        layers: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Linear(shape[0], self.width))
        for number in range(1, self.depth + 1):
            layers[f"block{number}"] = _block(self.width, self.width * self.hidden, self.dropout)
        layers["norm"] = nn.LayerNorm(self.width)
        layers["relu"] = nn.ReLU()
        layers["logits"] = nn.Linear(self.width, classes)
        return nn.Sequential(layers)


def _block(width: int, hidden: int, dropout: float) -> Residual:
    parts: list[nn.Module] = [nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU()]
    if dropout:
        parts.append(nn.Dropout(dropout))
    return Residual(nn.Sequential(*parts, nn.Linear(hidden, width)))
