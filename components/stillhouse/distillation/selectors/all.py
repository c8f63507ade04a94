"""Every row learns from the teacher."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.distillation.selector import Selector
from stillhouse.models.outputs import Batch, Outputs


class All(Selector):
    """Weight 1 for every row; it goes with batch-level methods too."""

    selects: ClassVar[bool] = False
    hears: ClassVar[bool] = False
    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression", "multi_label"})

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        return torch.ones(len(batch.rows), device=batch.rows.device)
