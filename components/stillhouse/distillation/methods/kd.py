"""Knowledge distillation: learn the teacher's softened probabilities, hence also which wrong
classes it finds plausible.
"""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import Temperature
from stillhouse.distillation.method import Method, beside
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.models.softmax import log_softmax

# Logits of a row that are all but equal would be blown up to a preference, and their gradient with
# them.
SMALLEST_DEVIATION = 0.01


def kd_loss(student: Tensor, teacher: Tensor, temperature: float | Tensor = 4.0) -> Tensor:
    """Return T² KL(teacher ‖ student) of the softened class probabilities, per row.

    The factor T² keeps the gradient's size about the same at every temperature, so that a weight
    tuned at one temperature holds at another.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C]; no gradient flows into them.
        temperature: T > 0, dimensionless. 1 is plain KL; above 1 the smaller probabilities count
            more. A tensor [B, 1] gives each row its own.

    Returns:
        Nats [B], never negative, 0 where the two distributions are equal.

    Source:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> kd_loss(logits, logits).item()
        0.0
    """
    log_q = log_softmax(student / temperature)
    log_p = log_softmax(told(teacher, student) / temperature)
    divergence = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=-1)
    return divergence.clamp_min(0) * beside(temperature) ** 2  # rounding alone can make it negative


def standardize(logits: Tensor) -> Tensor:
    """Return each row's logits as z-scores over the classes: mean 0, deviation 1.

    The deviation divides by C, as the paper does; its authors' code divides by C − 1. A deviation
    below 0.01 counts as 0.01.

    Args:
        logits: [B, C], C ≥ 3.

    Raises:
        UsageError: There are two classes: their z-scores are −1 and 1 whatever the logits, so that
            nothing could be learned.

    Source:
        Sun, Ren, Li, Wang and Cao 2024, arXiv:2403.01427, section 3.3, algorithm 1.
    """
    if logits.shape[-1] < 3:
        raise UsageError(
            "standardised logits of two classes are −1 and 1 for every row: kd could learn "
            "nothing from them.",
            where="distill.method.standardize",
            fix="Leave standardize out.",
        )
    centred = logits - logits.mean(dim=-1, keepdim=True)
    deviation = centred.square().mean(dim=-1, keepdim=True).clamp_min(SMALLEST_DEVIATION**2).sqrt()
    return centred / deviation


class KD(Method):
    """Softened probabilities, at will of standardised logits.

    Args:
        temperature: T.
        standardize: Compare z-scores, so that a small student need not match the size of the
            teacher's logits.
    """

    by_row = frozenset({"temperature"})

    def __init__(self, *, temperature: Temperature = 4.0, standardize: bool = False) -> None:
        super().__init__()
        self.temperature, self.standardize = temperature, standardize

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        mine, its = student.logits, self.answers(teacher)
        if self.standardize:
            mine, its = standardize(mine), standardize(its)
        return kd_loss(mine, its, self.temperature)
