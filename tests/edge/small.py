"""Small nets on each kind of rows, for exports."""

import torch
from torch import Tensor, nn

from stillhouse.data.schema import Feature, Schema
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize

CLASSES = ("a", "b", "c")
SCHEMAS = {
    "image": Schema("image", (1, 8, 8), CLASSES, (Feature("grey", low=0.0, high=1.0),)),
    "series": Schema("series", (12, 2), CLASSES, (Feature("x"), Feature("y"))),
    "table": Schema(
        "table",
        (3,),
        CLASSES,
        (
            Feature("age", missing=True),
            Feature("lab"),
            Feature("sex", kind="category", categories=("f", "m"), missing=True),
        ),
    ),
}


def rows(kind: str, count: int = 300) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.rand(count, *SCHEMAS[kind].shape, generator=generator)
    if kind == "table":
        inputs = inputs * torch.tensor([80.0, 3.0, 2.0])
        inputs[:, 2] = inputs[:, 2].floor()
        inputs[::4, 0] = inputs[1::7, 2] = torch.nan
    return inputs


def classifier(kind: str) -> Classifier:
    normalize = Normalize.fit(rows(kind), SCHEMAS[kind])
    torch.manual_seed(0)
    if kind == "image":
        net: nn.Module = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 3),
        )
    else:
        width = torch.Size(normalize.shape).numel()
        net = nn.Sequential(nn.Flatten(), nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, 3))
    return Classifier(normalize, net).eval()
