"""Decoupled knowledge distillation: how sure the teacher is of the target, and how it ranks all
other classes, weighed apart.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import NonNegative, Temperature
from stillhouse.distillation.method import Method, beside
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    *,
    alpha: float | Tensor = 1.0,
    beta: float | Tensor = 8.0,
    temperature: float | Tensor = 4.0,
) -> Tensor:
    """Return T² (α TCKD + β NCKD), per row.

    TCKD is the divergence of the two-way distributions (target, not target), NCKD that of the
    distributions over the other classes. KD is the case α = 1, β = 1 − the teacher's probability of
    the target. All of it is computed from log-probabilities, so that extreme logits stay finite.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C]; no gradient flows into them.
        targets: [B], int64 in 0 … C − 1.
        alpha: Weight of the target's part, ≥ 0.
        beta: Weight of the other classes' part, ≥ 0. With two classes that part is exactly 0.
        temperature: T > 0, dimensionless. Tensors [B, 1] of these three give each row its own.

    Returns:
        Nats [B], never negative.

    Source:
        Zhao, Cui, Song, Qiu and Liang 2022, arXiv:2203.08679, equations 6 and 7; α and β there for
        CIFAR-100.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0, 1.0]])
        >>> dkd_loss(logits, logits, torch.tensor([0])).item()
        0.0
    """
    is_target = F.one_hot(targets, student.shape[-1]).bool()
    q_target, q_others = _split(student / temperature, is_target)
    p_target, p_others = _split(told(teacher, student) / temperature, is_target)
    target_part = F.kl_div(q_target, p_target, reduction="none", log_target=True).sum(dim=-1)
    others_part = F.kl_div(q_others, p_others, reduction="none", log_target=True).sum(dim=-1)
    parts = beside(alpha) * target_part.clamp_min(0) + beside(beta) * others_part.clamp_min(0)
    return parts * beside(temperature) ** 2


def _split(logits: Tensor, is_target: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of target and not target [B, 2], and of the other classes among
    themselves [B, C − 1].
    """
    others = logits[~is_target].reshape(len(logits), -1)
    both = torch.stack([logits[is_target], others.logsumexp(dim=-1)], dim=-1)
    return F.log_softmax(both, dim=-1), F.log_softmax(others, dim=-1)


class DKD(Method):
    """Target and other classes weighed apart.

    The target is the label, and the teacher's decision where a row has none.

    Args:
        alpha: Weight of the target's part.
        beta: Weight of the other classes' part.
        temperature: T.
    """

    by_row = frozenset({"alpha", "beta", "temperature"})

    def __init__(
        self, *, alpha: NonNegative = 1.0, beta: NonNegative = 8.0, temperature: Temperature = 4.0
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        its = self.answers(teacher)
        targets = torch.where(batch.labelled, batch.targets, its.argmax(dim=-1))
        return dkd_loss(
            student.logits,
            its,
            targets,
            alpha=self.alpha,
            beta=self.beta,
            temperature=self.temperature,
        )
