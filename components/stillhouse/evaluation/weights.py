"""How much a label of each class weighs, so that rare events are not drowned by frequent ones."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from stillhouse.config import Positive
from stillhouse.data.dataset import Dataset
from stillhouse.errors import SettingsError, nearest

ClassWeights = Literal["balanced"] | Mapping[str, Positive] | None


def class_weights(asked: ClassWeights, rows: Dataset, where: str) -> Tensor | None:
    """Return each class's weight [C], float32; None where all weigh 1.

    Args:
        asked: `balanced`: rows / (classes × rows of the class), so that the mean over the labelled
            rows is 1; or class → weight, 1 where it is left out.
        rows: The labelled rows count, of those that a model learns from.
        where: The setting's path, for messages.

    Raises:
        SettingsError: There are no classes (a quantity, several labels a row), or none of that
            name.
    """
    if asked is None:
        return None
    if rows.schema.quantity is not None:
        raise SettingsError(
            f"the target '{rows.schema.quantity.name}' is a quantity and has no classes.",
            where=where,
            fix="Leave it out.",
        )
    if rows.schema.labels:
        raise SettingsError(
            "rows have several labels, each a yes or no, and no classes that could weigh.",
            where=where,
            fix="Leave it out.",
        )
    if asked == "balanced":
        counts = torch.bincount(rows.labelled.targets, minlength=len(rows.classes)).clamp_min(1)
        return (counts.sum() / (len(rows.classes) * counts.double())).float()
    for name in asked:
        if name not in rows.classes:
            raise SettingsError(
                f"the data have no class '{name}'.", where=where, fix=nearest(name, [*rows.classes])
            )
    return torch.tensor([float(asked.get(name, 1.0)) for name in rows.classes])
