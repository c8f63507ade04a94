"""A few numbers about rows, small enough to travel with a model and to tell drift by."""

from typing import Any

import torch

from stillhouse.data.dataset import UNLABELLED, Dataset

MAX_FEATURES = 256


def statistics(dataset: Dataset) -> dict[str, Any]:
    """Return class shares, and mean, std and missing share of each feature (the first 256); a
    channel is a feature of an image or a series.

    Returns:
        `{"classes": [share], "features": [{"name", "mean", "std", "missing"}]}`; mean and std are
        null where a column has no value.
    """
    columns = dataset.inputs.movedim(dataset.schema.feature_axis, 0).flatten(1).double()
    known = dataset.targets[dataset.targets != UNLABELLED]
    counts = torch.bincount(known, minlength=len(dataset.classes)).double()
    named = zip(dataset.schema.features[:MAX_FEATURES], columns, strict=False)
    return {
        "classes": (counts / max(len(known), 1)).tolist(),
        "features": [{"name": feature.name, **_column(values)} for feature, values in named],
    }


def _column(values: torch.Tensor) -> dict[str, float | None]:
    known = values[~values.isnan()]
    missing = 1 - len(known) / max(len(values), 1)
    if len(known) == 0:
        return {"mean": None, "std": None, "missing": missing}
    return {"mean": known.mean().item(), "std": known.std(correction=0).item(), "missing": missing}
