"""Born again: a student as large as its teacher learns its labels, each counting as much as the
teacher is sure.
"""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.pgd_at import decided
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs


def born_again_loss(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """Return w CE(student, target) per row, w the teacher's largest probability over its mean in
    the batch.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C] of the generation before; no gradient flows into them.
        targets: [B], int64 in 0 … C − 1.

    Returns:
        Nats [B], never negative; their mean is the paper's sum, whose weights sum to 1.

    Source:
        Furlanello, Lipton, Tschannen, Itti and Anandkumar 2018, arXiv:1805.04770, equation 9
        (confidence weighted by teacher max).

    Example:
        >>> import torch
        >>> even = torch.zeros(2, 2)
        >>> born_again_loss(even, even, torch.tensor([0, 1])).tolist()
        [0.6931471824645996, 0.6931471824645996]
    """
    surest = told(teacher, student).softmax(dim=-1).amax(dim=-1)
    return surest / surest.mean() * F.cross_entropy(student, targets, reduction="none")


class BornAgain(Method):
    """Labels, weighed by the teacher's confidence; a row without one has the teacher's decision.

    What the paper calls a born-again network is plain `kd` at temperature 1 from a teacher of the
    student's own architecture; this is its other form, which asks how much of the gain is weighing.
    """

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        its = self.answers(teacher)
        return born_again_loss(student.logits, its, decided(batch, its))
