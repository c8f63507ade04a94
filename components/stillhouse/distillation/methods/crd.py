"""Contrastive representation distillation: of all rows, the student's features shall pick out the
one that the teacher's are of.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.config import Count, Share, Temperature
from stillhouse.distillation.method import Method
from stillhouse.distillation.projector import pooled
from stillhouse.errors import UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs

SMALLEST = 1e-7  # beside a probability below the logarithm's fraction bar; the authors'
SMALLEST_NORM = 1e-12  # features that are all 0 stay 0


def contrast_loss(scores: Tensor, rows: int) -> Tensor:
    """Return −log D(first) − Σ log (1 − D(other)) per row, D(s) = s / (s + K / N).

    Args:
        scores: [B, 1 + K], positive and normed: the first is that of the pair that belongs
            together, the others are of pairs that were drawn.
        rows: N, of which the others were drawn.

    Returns:
        Nats [B], never negative but for rounding.

    Source:
        Tian, Krishnan and Isola 2020, arXiv:1910.10699, equations 17 and 18; the small number as in
        the authors' code.

    Example:
        >>> import torch
        >>> round(contrast_loss(torch.tensor([[1.0, 1.0]]), rows=1).item(), 5)
        1.38629
    """
    noise = (scores.shape[1] - 1) / rows
    first, others = scores[:, 0], scores[:, 1:]
    belongs = torch.log(first / (first + noise + SMALLEST))
    apart = torch.log(noise / (others + noise + SMALLEST))
    return -belongs - apart.sum(dim=1)


class Bank(nn.Module):
    """What a model said of every row, a running mean on the sphere; a checkpoint holds it.

    Args:
        rows: N.
        size: Of an embedding.
    """

    held: Tensor
    norm: Tensor

    def __init__(self, rows: int, size: int) -> None:
        super().__init__()
        spread = math.sqrt(3 / size)
        self.register_buffer("held", (2 * torch.rand(rows, size) - 1) * spread)
        self.register_buffer("norm", torch.zeros(()))

    def scores(self, found: Tensor, drawn: Tensor, temperature: float) -> Tensor:
        """Return exp(⟨found, held⟩ / T) of the drawn rows [B, 1 + K], divided by a constant that
        the first batch sets, as the authors do: Z = N times their mean.

        Args:
            found: Embeddings of the other model [B, size].
            drawn: Positions [B, 1 + K].
            temperature: T.
        """
        raw = (found @ self.held.T).gather(1, drawn).div(temperature).exp()
        if self.norm == 0:
            self.norm = raw.detach().mean() * len(self.held)
        return raw / self.norm

    def remember(self, found: Tensor, rows: Tensor, momentum: float) -> None:
        """Move what is held of `rows` [B] towards `found` [B, size]."""
        with torch.no_grad():
            moved = momentum * self.held[rows] + (1 - momentum) * found
            self.held[rows] = F.normalize(moved, dim=1, eps=SMALLEST_NORM)


class Contrast(nn.Module):
    """Both models' embeddings and their banks.

    Args:
        mine: Features of the student.
        its: Features of the teacher.
        rows: N.
        size: Of an embedding.
    """

    def __init__(self, mine: int, its: int, *, rows: int, size: int) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(mine, size), nn.Linear(its, size)
        self.students, self.teachers = Bank(rows, size), Bank(rows, size)

    def embedded(self, mine: Tensor, its: Tensor) -> tuple[Tensor, Tensor]:
        """Return both embeddings [B, size], of length 1."""
        return (
            F.normalize(self.student(mine), dim=1, eps=SMALLEST_NORM),
            F.normalize(self.teacher(its), dim=1, eps=SMALLEST_NORM),
        )


class CRD(Method):
    """Each model's embedding of a row against the other's of many rows, the banks kept by row.

    Rows that are drawn may be of the same class, and at times the row itself: the labels of all
    rows are not known here. The authors' scripts leave the row's class out.

    Args:
        size: Of the embedding into which both features are projected.
        negatives: K, drawn with replacement; at most as many as there are rows.
        temperature: T.
        momentum: Of the banks.
        layer: The student's: a stage or a module path.
        teacher_layer: The teacher's; empty is the same as `layer`.
    """

    needs = frozenset({"logits", "features"})

    def __init__(
        self,
        *,
        size: Count = 128,
        negatives: Count = 16384,
        temperature: Temperature = 0.07,
        momentum: Share = 0.5,
        layer: str = "penultimate",
        teacher_layer: str = "",
    ) -> None:
        super().__init__()
        self.size, self.negatives = size, negatives
        self.temperature, self.momentum = temperature, momentum
        self.taps = ((layer, teacher_layer or layer),)
        self.contrast: Contrast | None = None
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    def build(self, student: Outputs, teacher: Outputs) -> None:
        mine, its = self._both(student, teacher)
        rows = len(self.classroom.rows)
        self.contrast = Contrast(mine.shape[1], its.shape[1], rows=rows, size=self.size)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        if self.contrast is None:
            raise UsageError(
                "the banks of 'crd' were not made.",
                fix="Call `enter` and `build`, or give the objective both models.",
            )
        mine, its = self.contrast.embedded(*self._both(student, teacher))
        students, teachers = self.contrast.students, self.contrast.teachers
        rows = len(students.held)
        drawn = self._drawn(batch.rows, rows=rows)
        loss = contrast_loss(teachers.scores(mine, drawn, self.temperature), rows)
        loss = loss + contrast_loss(students.scores(its, drawn, self.temperature), rows)
        self._seen = (batch.rows, mine.detach(), its.detach())
        return loss

    def after_step(self, model: Classifier) -> None:  # noqa: ARG002
        if self.contrast is not None and self._seen is not None:
            rows, mine, its = self._seen
            self.contrast.students.remember(mine, rows, self.momentum)
            self.contrast.teachers.remember(its, rows, self.momentum)

    def _drawn(self, rows_of_batch: Tensor, *, rows: int) -> Tensor:
        others = torch.randint(rows, (len(rows_of_batch), min(self.negatives, rows)))
        return torch.cat([rows_of_batch[:, None], others.to(rows_of_batch.device)], dim=1)

    def _both(self, student: Outputs, teacher: Outputs | None) -> tuple[Tensor, Tensor]:
        [(mine, its)] = self.taps
        return pooled(self.features(student, mine)), pooled(self.features(teacher, its))
