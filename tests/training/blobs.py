"""Three clouds of points that a small net can learn, as a data set."""

import torch

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize

SCHEMA = Schema("table", (4,), ("a", "b", "c"), tuple(Feature(f"x{i}") for i in range(4)))


def blobs(rows: int, seed: int = 0) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(rows) % 3
    centres = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return Dataset(
        centres[targets] + torch.randn(rows, 4, generator=generator),
        targets,
        SCHEMA,
        torch.arange(rows) + 1000,
    )


def net(data: Dataset, seed: int = 0, dropout: float = 0.0) -> Classifier:
    return build_classifier(
        {"name": "mlp", "width": 16, "depth": 1, "dropout": dropout},
        data.schema,
        Normalize.fit(data.inputs, data.schema),
        seed,
        "student",
    )
