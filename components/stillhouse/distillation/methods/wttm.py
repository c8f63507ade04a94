"""Weighted transformed teacher matching: only the teacher is softened, and a row counts more the
less sure its teacher is.
"""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import Temperature
from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs


def wttm_loss(student: Tensor, teacher: Tensor, temperature: float | Tensor = 4.0) -> Tensor:
    """Return U KL(softened teacher ‖ student) per row, with U = Σ p^γ, γ = 1 / T.

    The student's own probabilities are left at temperature 1, which is the same as kd with a
    penalty on sure students (Rényi entropy); so there is no factor T². U is the size of the
    teacher's softened probabilities before they are brought to sum 1: 1 for a sure teacher, C^(1 −
    γ) at most for a doubtful one, which is 5.6 at 10 classes and T = 4, and 32 at 100.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C]; no gradient flows into them.
        temperature: T > 0, dimensionless; of the teacher alone. A tensor [B, 1] gives
            each row its own.

    Returns:
        Nats [B], never negative.

    Source:
        Zheng and Yang 2024, arXiv:2402.11148, "weighted transformed teacher matching"; row weight
        and mean as in the authors' code.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> wttm_loss(logits, 4 * logits).item()
        0.0
    """
    log_p = F.log_softmax(told(teacher, student), dim=-1) / temperature
    log_u = log_p.logsumexp(dim=-1, keepdim=True)
    divergence = F.kl_div(
        F.log_softmax(student, dim=-1), log_p - log_u, reduction="none", log_target=True
    ).sum(dim=-1)
    return divergence.clamp_min(0) * log_u.squeeze(-1).exp()


class WTTM(Method):
    """The softened teacher against the student as it is, doubtful rows weighed up.

    Args:
        temperature: T.
    """

    by_row = frozenset({"temperature"})

    def __init__(self, *, temperature: Temperature = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        return wttm_loss(student.logits, self.answers(teacher), self.temperature)
