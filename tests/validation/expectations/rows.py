"""Rows to judge, made in one line."""

import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.validation.expectation import Rows, rows_of

CLASSES = ("no", "yes")
IMAGES = Schema("image", (1, 8, 8), CLASSES, (Feature("grey", low=0.0, high=1.0),))
SERIES = Schema("series", (12, 2), CLASSES, (Feature("u"), Feature("v")))
TABLE = Schema(
    "table",
    (3,),
    CLASSES,
    (
        Feature("age", missing=True),
        Feature("dose"),
        Feature("ward", "category", categories=("a", "b")),
    ),
)


def made(
    schema: Schema,
    inputs: torch.Tensor,
    targets: torch.Tensor | None = None,
    groups: torch.Tensor | None = None,
) -> Rows:
    """Return rows of which the first 60 % are train, then 20 % val and 20 % test."""
    count = len(inputs)
    known = torch.arange(count) % 2 if targets is None else targets
    every = Dataset(inputs, known, schema, torch.arange(count), groups)
    ends = {"train": (0, 6), "val": (6, 8), "test": (8, 10)}
    return rows_of(
        {
            name: every.take(torch.arange(count * start // 10, count * end // 10))
            for name, (start, end) in ends.items()
        }
    )
