"""Focal distillation: hold the student to the teacher most where the teacher is right, so that
right answers do not turn wrong.
"""

import torch
from torch import Tensor

from stillhouse.config import NonNegative, Temperature
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.models.outputs import Batch, Outputs


def focal_weights(
    teacher: Tensor, targets: Tensor, *, alpha: float = 1.0, beta: float = 5.0
) -> Tensor:
    """Return α + β [the teacher is right] per row; α where there is no label, as nobody can know.

    Args:
        teacher: Logits [B, C].
        targets: [B], int64; −1 where unlabelled.
        alpha: Weight of every row, ≥ 0.
        beta: What a row counts more where the teacher is right, ≥ 0.

    Source:
        Yan et al. 2021, arXiv:2011.09161, "focal distillation"; α = 1 and β = 5 there.

    Example:
        >>> import torch
        >>> focal_weights(torch.eye(2), torch.tensor([0, 0])).tolist()
        [6.0, 1.0]
    """
    return alpha + beta * (teacher.argmax(dim=-1) == targets).to(teacher.dtype)


class Focal(Method):
    """Softened probabilities as `kd` learns them, each row weighed by whether the teacher (the
    model that is replaced) is right.

    Args:
        alpha: Weight of every row.
        beta: What a row counts more where the teacher is right.
        temperature: T.
    """

    def __init__(
        self, *, alpha: NonNegative = 1.0, beta: NonNegative = 5.0, temperature: Temperature = 4.0
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        its = self.answers(teacher)
        targets = torch.where(batch.labelled, batch.targets, -1)
        return focal_weights(its, targets, alpha=self.alpha, beta=self.beta) * kd_loss(
            student.logits, its, self.temperature
        )
