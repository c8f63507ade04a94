"""Each class by itself: is it there or not, as sure as the teacher is."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import Temperature
from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs


def multi_label_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return T² Σ KL(teacher ‖ student) over the classes, each a yes or no of its own, per row.

    Args:
        student: Log-odds [B, C], before a sigmoid.
        teacher: The same; no gradient flows into them.
        temperature: T > 0, dimensionless.

    Returns:
        Nats [B], never negative.

    Source:
        Yang, Xie, Zong, Feng, Niu, Sugiyama and Huang 2023, arXiv:2308.06453, equation 3
        (multi-label logits distillation); T = 1 there.

    Example:
        >>> import torch
        >>> odds = torch.tensor([[2.0, -1.0, 0.0]])
        >>> multi_label_loss(odds, odds).item()
        0.0
    """
    mine, its = student / temperature, told(teacher, student) / temperature
    yes = its.sigmoid() * (F.logsigmoid(its) - F.logsigmoid(mine))
    no = (-its).sigmoid() * (F.logsigmoid(-its) - F.logsigmoid(-mine))
    return (yes + no).clamp_min(0).sum(dim=-1) * temperature**2


def log_odds(logits: Tensor) -> Tensor:
    """Return each class's log-odds against all others, [B, C], of logits under a softmax: log p −
    log (1 − p), which a shift of all logits does not change.
    """
    alone = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    others = logits[:, None, :].expand(-1, logits.shape[-1], -1).masked_fill(alone, -torch.inf)
    return logits - others.logsumexp(dim=-1)


class MultiLabel(Method):
    """Each of several labels a row by itself. Of classes: one against all others, as many times as
    there are classes; memory grows with C² then.

    Args:
        temperature: T.
    """

    tasks = frozenset({"classification", "multi_label"})

    def __init__(self, *, temperature: Temperature = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        mine, its = student.logits, self.answers(teacher)
        if self.task.decides:
            mine, its = log_odds(mine), log_odds(its)
        return multi_label_loss(mine, its, self.temperature)
