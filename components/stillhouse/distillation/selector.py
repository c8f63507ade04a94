"""What every selector does: say how much each row counts."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from stillhouse.distillation.classroom import Classroom
from stillhouse.models.outputs import Batch, Outputs


class Selector(ABC):
    """Weighs rows of a per-row loss. A plugin of one method.

    Attributes:
        selects: Whether it ever tells rows apart; one that does needs a method with a loss per row.
        hears: Whether it looks at the teacher's answers; it then needs them whole, not sampled.
        tasks: What may be predicted: classification, regression.
    """

    selects: ClassVar[bool] = True
    hears: ClassVar[bool] = True
    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})

    def enter(self, classroom: Classroom) -> None:  # noqa: B027 - most selectors look at a batch alone
        """Take note of who and what is there; called once before training, if anybody knows."""

    @abstractmethod
    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """Return weights [B] in [0, 1], without gradients.

        Rows of weight 0 learn nothing from the teacher.

        Args:
            student: Logits [B, C].
            teacher: Logits [B, C].
            batch: The rows; targets are −1 where unlabelled.
        """
