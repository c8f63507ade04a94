from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.sources.digits import Digits
from stillhouse.teachers.teacher import Lesson


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return Digits().read(Path())


@pytest.fixture
def lesson(digits: Dataset, tmp_path: Path) -> Callable[[], Lesson]:
    def make() -> Lesson:
        train, val = digits.take(torch.arange(200)), digits.take(torch.arange(200, 300))
        return Lesson(train, val, tmp_path, tmp_path, 0, lambda done, total, note: None)

    return make
