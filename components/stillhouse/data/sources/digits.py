"""The default data: 1,797 handwritten digits that come inside scikit-learn, so that a first run
needs no download.
"""

from pathlib import Path

import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema, Task
from stillhouse.data.source import Source


class Digits(Source):
    """Grey images [1, 8, 8] in [0, 1], ten classes.

    Source:
        Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; its test set, as
        `sklearn.datasets.load_digits` has it (0 to 16 a pixel).
    """

    kinds = frozenset({"image"})
    task: Task | None = "classification"

    def read(self, root: Path) -> Dataset:  # noqa: ARG002
        from sklearn.datasets import load_digits

        found = load_digits()
        inputs = torch.tensor(found.images, dtype=torch.float32).div(16).unsqueeze(1)
        schema = Schema(
            "image",
            (1, 8, 8),
            tuple(str(name) for name in found.target_names),
            (Feature("ink", low=0.0, high=1.0),),
        )
        return Dataset(
            inputs, torch.tensor(found.target, dtype=torch.int64), schema, torch.arange(len(inputs))
        )
