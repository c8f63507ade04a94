"""A multilayer perceptron: the smallest student that is worth shipping."""

import math
from collections import OrderedDict
from typing import Annotated

from annotated_types import Interval
from torch import nn

from stillhouse.architectures.architecture import Architecture
from stillhouse.config import Count


class MLP(Architecture):
    """Hidden layers of one width with ReLU between them; a row of any shape is flattened.

    Args:
        width: Units a hidden layer.
        depth: Hidden layers.
        dropout: Share of hidden units dropped while training.
    """

    def __init__(
        self,
        *,
        width: Count = 64,
        depth: Count = 2,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    ) -> None:
        self.width, self.depth, self.dropout = width, depth, dropout

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the net; its taps are `hidden1`, `relu1`, …, `logits`."""
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        incoming = math.prod(shape)
        for number in range(1, self.depth + 1):
            layers[f"hidden{number}"] = nn.Linear(incoming, self.width)
            layers[f"relu{number}"] = nn.ReLU()
            if self.dropout:
                layers[f"dropout{number}"] = nn.Dropout(self.dropout)
            incoming = self.width
        layers["logits"] = nn.Linear(incoming, classes)
        return nn.Sequential(layers)
