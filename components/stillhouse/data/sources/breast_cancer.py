"""The default table: 569 tumours that come inside scikit-learn, so that a first run on a table
needs no download.
"""

from pathlib import Path

import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema, Task
from stillhouse.data.source import Source


class BreastCancer(Source):
    """Thirty measures of cell nuclei, none of them missing; two classes, malignant and benign.

    Source:
        Street, Wolberg and Mangasarian 1993, Breast Cancer Wisconsin (Diagnostic), UCI, as
        `sklearn.datasets.load_breast_cancer` has it.
    """

    kinds = frozenset({"table"})
    task: Task | None = "classification"

    def read(self, root: Path) -> Dataset:  # noqa: ARG002
        from sklearn.datasets import load_breast_cancer

        found = load_breast_cancer()
        inputs = torch.tensor(found.data, dtype=torch.float32)
        features = tuple(
            Feature(str(name), low=0.0) for name in found.feature_names
        )  # lengths, areas and ratios
        schema = Schema(
            "table", (len(features),), tuple(str(name) for name in found.target_names), features
        )
        return Dataset(
            inputs, torch.tensor(found.target, dtype=torch.int64), schema, torch.arange(len(inputs))
        )
