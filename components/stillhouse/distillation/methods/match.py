"""Tell what the teacher tells: the plain way to distil a quantity, its mean or its quantiles."""

from torch import Tensor

from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs


def match_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared difference of two models' answers, per row, the mean over the outputs.

    Args:
        student: [B, C]; outputs are a mean, or quantiles.
        teacher: [B, C]; no gradient flows into it.

    Returns:
        [B], the outputs' unit squared, never negative.

    Source:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.1 (matching outputs as the limit
        of a high temperature); Ba and Caruana 2014, arXiv:1312.6184, equation 1.

    Example:
        >>> import torch
        >>> match_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]])).item()
        2.0
    """
    return (student - told(teacher, student)).square().mean(dim=-1)


class Match(Method):
    """Squared error to all that the teacher tells of a quantity."""

    tasks = frozenset({"regression"})

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        return match_loss(student.logits, self.answers(teacher))
