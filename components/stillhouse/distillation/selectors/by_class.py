"""Say by hand how much the teacher counts in each class."""

from collections.abc import Mapping

import torch
from torch import Tensor

from stillhouse.config import Share
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.selector import Selector
from stillhouse.errors import SettingsError, UsageError, nearest
from stillhouse.models.outputs import Batch, Outputs

WHERE = "distill.selector.shares"


class ByClass(Selector):
    """A weight for each class: of a row's label, or of the teacher's decision where it has none.

    Args:
        shares: Class → weight in [0, 1]; 1 where it is left out.
    """

    def __init__(self, *, shares: Mapping[str, Share]) -> None:
        self.shares = dict(shares)
        self._weights: Tensor | None = None

    def enter(self, classroom: Classroom) -> None:
        """Find the classes.

        Raises:
            SettingsError: There is no class of that name.
        """
        classes = classroom.rows.classes
        for name in self.shares:
            if name not in classes:
                raise SettingsError(
                    f"there is no class '{name}'.", where=WHERE, fix=nearest(name, list(classes))
                )
        self._weights = torch.tensor([float(self.shares.get(name, 1.0)) for name in classes])

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        if self._weights is None:
            raise UsageError(
                "'by_class' knows classes by their names, and was told none.",
                where="distill.selector",
                fix="Call `enter`, or give the objective both models.",
            )
        codes = torch.where(batch.labelled, batch.targets, teacher.logits.argmax(dim=-1))
        return self._weights.to(teacher.logits)[codes]
