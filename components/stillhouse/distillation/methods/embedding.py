"""Embeddings: a learned projection of the student's shall point where the teacher's does."""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.distillation.method import Method
from stillhouse.distillation.projector import Projector, pooled
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs

SMALLEST_NORM = 1e-6  # an embedding that is shorter has no direction: its cosine counts as 0


def embedding_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 − the cosine between two embeddings, per row.

    Args:
        student: Projected embeddings [B, D].
        teacher: [B, D]; no gradient flows into it.

    Returns:
        [B], in [0, 2] but for rounding; 1 where one of the two is all 0.

    Source:
        Reimers and Gurevych 2020, arXiv:2004.09813 (a student's embeddings made a teacher's), with
        the cosine by which embeddings are compared in the place of their squared distance.

    Example:
        >>> import torch
        >>> embedding_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])).item()
        1.0
    """
    return 1 - F.cosine_similarity(student, told(teacher, student), dim=-1, eps=SMALLEST_NORM)


class Embedding(Method):
    """Directions of embeddings, through a linear projector that is thrown away afterwards.

    Args:
        layer: The student's: a stage or a module path.
        teacher_layer: The teacher's; empty is the same as `layer`.
    """

    needs = frozenset({"logits", "features"})

    def __init__(self, *, layer: str = "penultimate", teacher_layer: str = "") -> None:
        super().__init__()
        self.taps = ((layer, teacher_layer or layer),)
        self.projector: Projector | None = None

    def build(self, student: Outputs, teacher: Outputs) -> None:
        self.projector = Projector(*self._both(student, teacher))

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        mine, its = self._both(student, teacher)
        if self.projector is None:
            raise UsageError(
                "the projector of 'embedding' was not made.",
                fix="Call `build` with the features of a few rows, or give the objective both "
                "models.",
            )
        return embedding_loss(self.projector(mine), its)

    def _both(self, student: Outputs, teacher: Outputs | None) -> tuple[Tensor, Tensor]:
        [(mine, its)] = self.taps
        return pooled(self.features(student, mine)), pooled(self.features(teacher, its))
