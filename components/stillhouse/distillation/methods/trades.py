"""TRADES: learn the labels of the rows as they are, and answer alike all around them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.attacks.run import frozen
from stillhouse.config import Count, NonNegative, Positive
from stillhouse.distillation.adversary import Adversary, Ball
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.pgd_at import decided
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs


def trades_loss(attacked: Tensor, clean: Tensor, targets: Tensor, beta: float = 6.0) -> Tensor:
    """Return CE(clean, target) + β KL(clean ‖ attacked) per row; a row without a target has the
    second part alone.

    Gradients flow into both logits, as in the authors' code: the clean answer moves towards the
    attacked one too.

    Args:
        attacked: Logits [B, C] of the rows inside the ball whose answer is farthest from `clean`.
        clean: Logits [B, C] of the rows themselves.
        targets: [B], int64; −1 where nobody knows.
        beta: 1 / λ in the paper: what a steady answer is worth.

    Returns:
        Nats [B], never negative. The authors divide the second part by a batch size that is set by
        hand, which is its mean wherever batches are full.

    Source:
        Zhang, Yu, Jiao, Xing, El Ghaoui and Jordan 2019, arXiv:1901.08573, equation 5; β = 6 in
        their runs on CIFAR-10.

    Example:
        >>> import torch
        >>> even = torch.zeros(1, 2)
        >>> trades_loss(even, even, torch.tensor([0])).item()
        0.6931471824645996
    """
    natural = F.cross_entropy(clean, targets, ignore_index=-1, reduction="none")
    return natural + beta * spread(attacked, clean)


def spread(attacked: Tensor, clean: Tensor) -> Tensor:
    """Return KL(clean ‖ attacked) [B] of logits [B, C]; gradients flow into both."""
    log_q, log_p = F.log_softmax(attacked, dim=-1), F.log_softmax(clean, dim=-1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=-1).clamp_min(0)


class TRADES(Method):
    """Labels of clean rows, and the same answer around them; a row without a label has the
    teacher's decision, if there is a teacher.

    Args:
        beta: What a steady answer is worth beside a right one.
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
        beta: NonNegative = 6.0,
        epsilon: Positive = 0.1,
        norm: Ball = "linf",
        steps: Count = 10,
        step_size: Positive | None = None,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.epsilon, self.norm, self.steps, self.step_size = epsilon, norm, steps, step_size
        self._clean = torch.empty(0)

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:
        with frozen(model), torch.no_grad():
            calm = model(batch.inputs)
        adversary = Adversary(self.norm, self.epsilon, self.steps, self.step_size)
        found = adversary.find(
            model,
            batch.inputs,
            lambda at: spread(model(at), calm),
            space=self.classroom.space,
            generator=generator,
        )
        self._clean = model(batch.inputs)
        return found

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        told = None if teacher is None else teacher.logits
        return trades_loss(student.logits, self._clean, decided(batch, told), self.beta)
