"""My own data: one class, one method. Name this file under `plugins`, then `prepare.source: {name: two_moons}`."""

from pathlib import Path

import torch
from sklearn.datasets import make_moons

from stillhouse.data import Dataset, Feature, Schema, Source


class TwoMoons(Source):
    def __init__(self, *, rows: int = 1500, noise: float = 0.2) -> None:
        self.rows, self.noise = rows, noise

    def read(self, root: Path) -> Dataset:
        inputs, targets = make_moons(self.rows, noise=self.noise, random_state=0)
        schema = Schema("table", (2,), ("upper", "lower"), (Feature("x"), Feature("y")))
        return Dataset(
            torch.tensor(inputs, dtype=torch.float32),
            torch.tensor(targets),
            schema,
            torch.arange(self.rows),
        )
