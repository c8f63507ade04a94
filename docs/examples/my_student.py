"""My own student: any net from rows of a shape to logits. Then `distill.student: {name: wide_then_narrow}`."""

from math import prod

from torch import nn

from stillhouse.architectures import Architecture


class WideThenNarrow(Architecture):
    def __init__(self, *, wide: int = 48, narrow: int = 16) -> None:
        self.wide, self.narrow = wide, narrow

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        layers = [
            nn.Flatten(),
            nn.Linear(prod(shape), self.wide),
            nn.ReLU(),
            nn.Linear(self.wide, self.narrow),
            nn.ReLU(),
        ]
        return nn.Sequential(*layers, nn.Linear(self.narrow, classes))
