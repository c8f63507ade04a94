"""Every net under test, by an id: its spec and the shape of its rows."""

import torch
from torch import Tensor

from stillhouse.architectures.build import build_classifier
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize

CLASSES = ("a", "b", "c")
IMAGE = Schema(
    "image",
    (3, 10, 9),
    CLASSES,
    tuple(Feature(name, low=0.0, high=1.0) for name in ("red", "green", "blue")),
)
SERIES = Schema("series", (13, 2), CLASSES, (Feature("x"), Feature("y")))
TABLE = Schema(
    "table",
    (3,),
    CLASSES,
    (
        Feature("age", missing=True),
        Feature("lab"),
        Feature("sex", kind="category", categories=("f", "m"), missing=True),
    ),
)
NETS: dict[str, tuple[dict[str, object], Schema]] = {
    "resnet": ({"name": "resnet", "depth": 8, "width": 4}, IMAGE),
    "dscnn on images": ({"name": "dscnn", "width": 6, "depth": 3}, IMAGE),
    "dscnn on series": ({"name": "dscnn", "width": 6, "depth": 3}, SERIES),
    "tcn": ({"name": "tcn", "width": 6, "depth": 3, "dropout": 0.1}, SERIES),
    "gru": ({"name": "gru", "width": 5, "depth": 2}, SERIES),
    "gru both ways": ({"name": "gru", "width": 5, "both_ways": True}, SERIES),
    "table_mlp": ({"name": "table_mlp", "width": 8, "dropout": 0.1}, TABLE),
    "tiny_transformer on images": ({"name": "tiny_transformer", "width": 8, "dropout": 0.1}, IMAGE),
    "tiny_transformer on series": ({"name": "tiny_transformer", "width": 8}, SERIES),
}


def rows(schema: Schema, count: int = 40) -> Tensor:
    inputs = torch.rand(count, *schema.shape, generator=torch.Generator().manual_seed(5))
    if schema.kind == "table":
        inputs[:, 2] = (inputs[:, 2] * 2).floor()
        inputs[::4, 0] = inputs[1::7, 2] = torch.nan
    return inputs


def built(name: str, seed: int = 0) -> Classifier:
    spec, schema = NETS[name]
    return build_classifier(
        spec, schema, Normalize.fit(rows(schema), schema), seed, "distill.student"
    )
