"""Rows as a teacher that was trained elsewhere knows them: less its means, over its deviations."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError


def by_feature(values: tuple[float, ...], schema: Schema, where: str) -> list[float]:
    """Return numbers, one for all features or one each.

    Raises:
        SourceError: They are neither.
    """
    features = len(schema.features)
    if values and len(values) not in (1, features):
        raise SourceError(
            f"it holds {len(values)} numbers, the rows have {features} features.",
            where=where,
            fix="Give one number, or one a feature, in order.",
        )
    return list(values)


def scaled(inputs: Tensor, form: Mapping[str, Any], schema: Schema) -> Tensor:
    """Return rows [B, *shape] less `form["mean"]`, over `form["std"]`; either may be missing."""
    shape = [1] * len(schema.shape)
    shape[schema.feature_axis - 1] = -1
    if form.get("mean"):
        inputs = inputs - torch.tensor(form["mean"]).view(shape)
    return inputs / torch.tensor(form["std"]).view(shape) if form.get("std") else inputs
