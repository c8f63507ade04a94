"""What is known of the rows that a model learned from, small enough to travel with it and exact
enough to tell drift by.
"""

from typing import Any

import torch

from stillhouse.data.dataset import Dataset, known
from stillhouse.data.measures import MAX_FEATURES, measures
from stillhouse.data.sketch import sketch
from stillhouse.data.targets import targets_of


def statistics(dataset: Dataset) -> dict[str, Any]:
    """Return class shares; mean, std and missing share of each feature (the first 256; a channel is
    a feature of an image or a series); and how the rows' measures are distributed.

    Returns:
        `{"rows", "classes": [share], "features": [{"name", "mean", "std", "missing"}], "sketches":
        [Sketch]}`, and `"class_rows": {name: count}` or `"target_sketch"`; mean and std are null
        where a column has no value.
    """
    columns = dataset.inputs.movedim(dataset.schema.feature_axis, 0).flatten(1).double()
    told = targets_of(dataset.schema).statistics(dataset.targets[known(dataset.targets)])
    named = zip(dataset.schema.features[:MAX_FEATURES], columns, strict=False)
    return {
        "rows": len(dataset),
        **told,
        "features": [{"name": feature.name, **_column(values)} for feature, values in named],
        "sketches": [sketch(name, values).as_dict() for name, values in measures(dataset).items()],
    }


def _column(values: torch.Tensor) -> dict[str, float | None]:
    there = values[~values.isnan()]
    missing = 1 - len(there) / max(len(values), 1)
    if len(there) == 0:
        return {"mean": None, "std": None, "missing": missing}
    return {"mean": there.mean().item(), "std": there.std(correction=0).item(), "missing": missing}
