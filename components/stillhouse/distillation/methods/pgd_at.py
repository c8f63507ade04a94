"""Adversarial training: learn the labels of the rows that an attacker would make of one's own."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import Count, Positive
from stillhouse.distillation.adversary import Adversary, Ball
from stillhouse.distillation.method import Method
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs


def pgd_at_loss(attacked: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of attacked rows to their targets, per row; 0 where there is none.

    Args:
        attacked: Logits [B, C] of the rows inside the ball on which this same loss is largest.
        targets: [B], int64; −1 where nobody knows.

    Returns:
        Nats [B], never negative.

    Source:
        Madry, Makelov, Schmidt, Tsipras and Vladu 2018, arXiv:1706.06083, equation 2.1.

    Example:
        >>> import torch
        >>> pgd_at_loss(torch.zeros(2, 2), torch.tensor([0, -1])).tolist()
        [0.6931471824645996, 0.0]
    """
    return F.cross_entropy(attacked, targets, ignore_index=-1, reduction="none")


class PGDAt(Method):
    """Labels of attacked rows; a row without one has the teacher's decision, and teaches nothing
    where there is no teacher either.

    Args:
        epsilon: Radius of the ball, in data space; of tables in standard deviations of each column.
        norm: linf or l2.
        steps: Of the search.
        step_size: Of the search, in epsilon's units; a quarter of epsilon where None.
    """

    needs: frozenset[str] = frozenset()
    hardens = True

    def __init__(
        self,
        *,
        epsilon: Positive = 0.1,
        norm: Ball = "linf",
        steps: Count = 10,
        step_size: Positive | None = None,
    ) -> None:
        super().__init__()
        self.epsilon, self.norm, self.steps, self.step_size = epsilon, norm, steps, step_size

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:
        told = None if self.classroom.answers is None else self.classroom.stored(batch)
        targets = decided(batch, told)
        adversary = Adversary(self.norm, self.epsilon, self.steps, self.step_size)
        return adversary.find(
            model,
            batch.inputs,
            lambda at: pgd_at_loss(model(at), targets),
            space=self.classroom.space,
            generator=generator,
            anywhere=True,
        )

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        told = None if teacher is None else teacher.logits
        return pgd_at_loss(student.logits, decided(batch, told))


def decided(batch: Batch, teacher: Tensor | None) -> Tensor:
    """Return each row's label [B]; where there is none the teacher's decision, and −1 without a
    teacher.
    """
    other = torch.full_like(batch.targets, -1) if teacher is None else teacher.argmax(dim=-1)
    return torch.where(batch.labelled, batch.targets, other)
