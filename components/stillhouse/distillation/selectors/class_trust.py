"""Believe the teacher in each class as far as the labels bear it out."""

import torch
from torch import Tensor

from stillhouse.config import Share
from stillhouse.data.dataset import known
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.selector import Selector
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs


def trust(answers: Tensor, targets: Tensor) -> Tensor:
    """Return (right + 1) / (decided + 2) for each class that the teacher may decide for, [C]: how
    often it is right where it says so, drawn towards 1/2 where few labels can tell.

    Args:
        answers: The teacher's logits [N, C].
        targets: [N], int64; −1 where unlabelled.

    Example:
        >>> trust(torch.eye(2)[[0, 0, 1]], torch.tensor([0, 0, 0])).tolist()
        [0.75, 0.3333333333333333]
    """
    there = known(targets)
    decided, truth = answers[there].argmax(dim=-1), targets[there]
    classes = answers.shape[-1]
    said = torch.bincount(decided, minlength=classes).double()
    right = torch.bincount(decided[decided == truth], minlength=classes).double()
    return (right + 1) / (said + 2)


class ClassTrust(Selector):
    """Weights rows by how often the teacher is right in the class that it decides for.

    Args:
        at_least: Classes in which it is right less often teach nothing.
    """

    def __init__(self, *, at_least: Share = 0.0) -> None:
        self.at_least = at_least
        self._trust: Tensor | None = None

    def enter(self, classroom: Classroom) -> None:
        """Count over all labelled rows."""
        found = trust(classroom.told, classroom.rows.targets)
        self._trust = torch.where(found >= self.at_least, found, 0.0)

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        if self._trust is None:
            raise UsageError(
                "'class_trust' counts over all labelled rows, and was shown none.",
                where="distill.selector",
                fix="Call `enter`, or give the objective both models.",
            )
        return self._trust.to(teacher.logits)[teacher.logits.argmax(dim=-1)]
