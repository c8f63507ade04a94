"""A net that has learned two overlapping clouds, and masks in front of it."""

from functools import cache

import torch
from torch import nn

from stillhouse.robustness.intervals import in_a_row, through


def blobs(rows=240):
    """Rows [N, 2] in [0, 1] around two middles, and their classes."""
    draw = torch.Generator().manual_seed(4)
    targets = torch.arange(rows) % 2
    middles = torch.tensor([[0.35, 0.4], [0.65, 0.6]])
    return (middles[targets] + 0.09 * torch.randn(rows, 2, generator=draw)).clamp(0, 1), targets


@cache
def _weights():
    inputs, targets = blobs()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(made(inputs), targets).backward()
        optimizer.step()
    return made.state_dict()


def net():
    with torch.random.fork_rng(devices=[]):
        made = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    made.load_state_dict(_weights())
    return made.eval()


class Loud(nn.Module):
    """Multiplies its logits: the cross-entropy of every row is 0 or huge, and has no slope."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, inputs):
        return 1000 * self.inner(inputs)


class Rounded(Loud):
    """Looks at its inputs in steps of one over so many: its gradient is exactly 0."""

    def __init__(self, inner, steps=50):
        super().__init__(inner)
        self.steps = steps

    def forward(self, inputs):
        return self.inner((inputs * self.steps).round() / self.steps)


class Drawing(Loud):
    """Answers another time otherwise."""

    def forward(self, inputs):
        return self.inner(inputs + 0.02 * torch.randn_like(inputs))


def bounds(model, low, high):
    """Interval bounds of a whole net."""
    box = low, high
    for layer in in_a_row(model):
        box = through(layer, box)
    return box
