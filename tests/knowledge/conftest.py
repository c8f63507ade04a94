from pathlib import Path

import pytest
import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.sources.digits import Digits
from stillhouse.teachers.teacher import Oracle


class Linear(Oracle):
    """A real, tiny teacher: logits = inputs @ weight; it counts the rows it was asked about."""

    def __init__(self, weight: Tensor) -> None:
        self.weight, self.asked = weight, 0

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        self.asked += len(rows)
        return inputs.flatten(1) @ self.weight


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return Digits().read(Path()).take(torch.arange(5, 105))


@pytest.fixture
def oracle() -> Linear:
    return Linear(torch.randn(64, 10, generator=torch.Generator().manual_seed(1)))
