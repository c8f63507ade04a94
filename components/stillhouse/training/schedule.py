"""How many steps a training takes, which rows each one sees, and how fast it learns: functions of
the step alone, so that a resume needs nothing else.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor


def learning_rate(step: int, steps: int, warmup: float) -> float:
    """Return the share of the full learning rate at a step: a linear rise, then half a cosine down
    to almost 0.

    Args:
        step: From 0.
        steps: All of them.
        warmup: Share of the steps that rise, in [0, 1].

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5 without restarts; warm-up as in
        Goyal et al. 2017, arXiv:1706.02677, section 2.2.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


@dataclass
class Order:
    """Which rows each step sees: a fresh permutation an epoch, cut into batches of nearly equal
    size.

    Equal sizes, because a last batch of one or two rows would push as hard as a full one, and batch
    norm cannot take one row.

    Attributes:
        rows: N ≥ 1.
        batch: Rows a step at most.
        seed: Of the permutations.
    """

    rows: int
    batch: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _parts: tuple[Tensor, ...] = field(default=(), init=False)

    @property
    def per_epoch(self) -> int:
        """Steps an epoch."""
        return math.ceil(self.rows / self.batch)

    @property
    def smallest(self) -> int:
        """Rows of the smallest batch."""
        return self.rows // self.per_epoch

    def at(self, step: int) -> Tensor:
        """Return the positions of a step's rows, int64 [B]."""
        epoch = step // self.per_epoch
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._parts = torch.randperm(self.rows, generator=generator).tensor_split(
                self.per_epoch
            )
            self._epoch = epoch
        return self._parts[step % self.per_epoch]


def report_epochs(epochs: int, points: int = 40) -> frozenset[int]:
    """Return at most `points` epochs, counted from 1, spread evenly; the last is one of them."""
    wanted = min(points, epochs)
    return frozenset(math.ceil(number * epochs / wanted) for number in range(1, wanted + 1))
