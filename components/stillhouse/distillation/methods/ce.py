"""The teacher's decisions without its confidences: what any labelling service could give."""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs


def ce_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross entropy to the class that the teacher decides for, per row.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C]; only the position of the largest counts, the first one where several
            are.

    Returns:
        Nats [B], never negative.

    Source:
        Lee 2013, "Pseudo-Label", equation 15, with the labels from another model.

    Example:
        >>> import torch
        >>> ce_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, -1.0]])).item()
        0.6931471824645996
    """
    return F.cross_entropy(student, told(teacher, student).argmax(dim=-1), reduction="none")


class CE(Method):
    """The task's base loss with the teacher's decision in the label's place: cross entropy to its
    class; of a quantity, squared error (or quantile loss) to the one number that it tells; of
    several labels a row, cross entropy to each yes or no.
    """

    tasks = frozenset({"classification", "regression", "multi_label"})
    by_row: frozenset[str] | None = frozenset()

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        return self.task.follow(student.logits, self.answers(teacher))
