"""DIST: learn how the teacher's probabilities relate, between classes and between rows, not what
they are.
"""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import NonNegative, Temperature
from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.models.outputs import Batch, Outputs

# Values that vary by less than this share of their own length count as varying by it: their
# correlation is noise, and dividing by less would blow its gradient up.
FLATTEST = 1e-3
SMALLEST_PRODUCT = 1e-8  # beside the product of the two norms; the authors'
SMALLEST_NORM = 1e-12  # of a class that no row has at all: its root has a gradient of 0, not NaN


def correlation(first: Tensor, second: Tensor, dim: int) -> Tensor:
    """Return Pearson's correlation along an axis, which is reduced; 0 where one of the two is
    constant.

    Args:
        first: Any shape.
        second: The same.
        dim: The axis.
    """
    a, b = (value - value.mean(dim=dim, keepdim=True) for value in (first, second))
    norms = _length(a, first, dim) * _length(b, second, dim)
    return (a * b).sum(dim=dim) / (norms + SMALLEST_PRODUCT)


def _length(centred: Tensor, values: Tensor, dim: int) -> Tensor:
    """Return the norm of what varies, at least `FLATTEST` of the norm of all."""
    least = FLATTEST**2 * values.detach().square().sum(dim=dim)
    least = least.clamp_min(SMALLEST_NORM**2)
    return centred.square().sum(dim=dim).clamp_min(least).sqrt()


def dist_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 4.0,
) -> Tensor:
    """Return T² (β inter + γ intra) of a batch: 1 − Pearson's correlation over the classes of each
    row, and over the rows of each class.

    With two classes the inter part is all but 0 or 2 a row and teaches nothing; with one row the
    intra part is the constant 1 and teaches nothing.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C]; no gradient flows into them.
        beta: Weight of the relations between classes, ≥ 0.
        gamma: Weight of the relations between rows, ≥ 0.
        temperature: T > 0, dimensionless; of the probabilities that are compared.

    Returns:
        A scalar, in [0, 2 T² (β + γ)], never below 0.

    Source:
        Huang, You, Wang, Qian and Xu 2022, arXiv:2205.10536, equations 6 to 10. T and its square
        are not in their classification code, which has T = 1; others' copies of it have both.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
        >>> dist_loss(logits, logits).item() < 1e-5
        True
    """
    q = F.softmax(student / temperature, dim=-1)
    p = F.softmax(told(teacher, student) / temperature, dim=-1)
    inter = (1 - correlation(q, p, dim=1)).mean()
    intra = (1 - correlation(q, p, dim=0)).mean()
    return (beta * inter + gamma * intra).clamp_min(0) * temperature**2


class DIST(Method):
    """Relations between classes and between rows.

    The latter need the batch as a whole, so that no selector can weigh its rows.

    Args:
        beta: Weight of the relations between classes.
        gamma: Weight of the relations between rows.
        temperature: T.
    """

    per_sample = False

    def __init__(
        self, *, beta: NonNegative = 1.0, gamma: NonNegative = 1.0, temperature: Temperature = 4.0
    ) -> None:
        super().__init__()
        self.beta, self.gamma, self.temperature = beta, gamma, temperature

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        return dist_loss(
            student.logits,
            self.answers(teacher),
            beta=self.beta,
            gamma=self.gamma,
            temperature=self.temperature,
        )
