"""Rows of each kind, and a look at them through one view."""

import torch
from torch import Tensor

from stillhouse.data.schema import Feature, Schema
from stillhouse.data.view import View

IMAGE = Schema("image", (2, 6, 5), ("a", "b"), tuple(Feature(n, low=0.0, high=1.0) for n in "xy"))
SERIES = Schema("series", (20, 3), ("a", "b"), tuple(Feature(n) for n in "xyz"))
TABLE = Schema(
    "table",
    (4,),
    ("a", "b"),
    (
        Feature("age", kind="integer", low=18, high=90),
        Feature("lab", missing=True),
        Feature("sex", kind="category", categories=("f", "m", "x")),
        Feature("smokes", kind="binary"),
    ),
)


def rows(schema: Schema, count: int = 200) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    if schema.kind != "table":
        return torch.rand(count, *schema.shape, generator=generator)
    drawn = torch.rand(count, 4, generator=generator)
    drawn[:, 0] = (18 + 60 * drawn[:, 0]).round()
    drawn[:, 2], drawn[:, 3] = (3 * drawn[:, 2]).floor(), drawn[:, 3].round()
    drawn[::5, 1] = torch.nan
    return drawn


def look(view: View, schema: Schema, seed: int = 0, count: int = 200) -> Tensor:
    return view(rows(schema, count), schema, torch.Generator().manual_seed(seed))
