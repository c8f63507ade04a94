"""Learn the labels of a quantity only as far as the teacher reaches: a student that is already
closer to the truth than its teacher is left alone.
"""

import torch
from torch import Tensor

from stillhouse.config import NonNegative
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.match import match_loss
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import Task
from stillhouse.models.outputs import Batch, Outputs


def teacher_bounded_loss(
    student: Tensor, teacher: Tensor, targets: Tensor, margin: float = 0.0
) -> Tensor:
    """Return the student's squared error where it is, plus a margin, larger than the teacher's;
    else 0.

    Args:
        student: [B, C].
        teacher: [B, C]; no gradient flows into it.
        targets: [B], all known.
        margin: m ≥ 0, in the unit squared: how much better than its teacher a student has to be
            before it is left alone.

    Returns:
        [B], the unit squared, never negative.

    Source:
        Chen, Choi, Yu, Han and Chandraker 2017, "Learning Efficient Object Detection Models with
        Knowledge Distillation", equation 5 (L_b), without the box's four coordinates.

    Example:
        >>> teacher, truth = torch.tensor([[2.0]]), torch.tensor([0.0])
        >>> [teacher_bounded_loss(torch.tensor([[s]]), teacher, truth).item() for s in (3.0, 1.0)]
        [9.0, 0.0]
    """
    own = (student - targets[:, None]).square().mean(dim=-1)
    its = (told(teacher, student) - targets[:, None]).square().mean(dim=-1)
    return torch.where(own + margin > its, own, torch.zeros_like(own))


class TeacherBounded(Method):
    """Labels, as far as the teacher reaches; a row without a label learns the teacher's own answer,
    since nobody can say which of the two is closer.

    Args:
        margin: m, in variances of the target.
    """

    tasks = frozenset({"regression"})

    def __init__(self, *, margin: NonNegative = 0.0) -> None:
        super().__init__()
        self.margin = margin

    def attend(self, task: Task) -> None:
        """Refuse quantiles: a label bounds the error of a mean, not that of a quantile.

        Raises:
            UsageError: Quantiles are told.
        """
        if task.quantiles:
            raise UsageError(
                "'teacher_bounded' compares errors of a mean, and quantiles are told.",
                where="distill.method",
                fix="Write method: {name: match}, or leave prepare.quantiles out.",
            )
        super().attend(task)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        its = self.answers(teacher)
        bounded = teacher_bounded_loss(
            student.logits, its, batch.targets.nan_to_num(0.0), self.margin
        )
        return torch.where(batch.labelled, bounded, match_loss(student.logits, its))
