"""Hints: the student's features, sent through a learned projector, shall be the teacher's."""

from torch import Tensor

from stillhouse.distillation.method import Method
from stillhouse.distillation.projector import Projector, aligned
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs


def fitnet_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of features, per row.

    Args:
        student: Projected features [B, …].
        teacher: [B, …], the same shape; no gradient flows into it.

    Returns:
        [B], never negative, in squares of the teacher's unit. The paper has half the sum; its
        weight then hangs on the number of features.

    Source:
        Romero et al. 2015, arXiv:1412.6550, equation 3.

    Example:
        >>> import torch
        >>> fitnet_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]])).item()
        2.0
    """
    return (student - told(teacher, student)).flatten(1).square().mean(dim=1)


class Fitnet(Method):
    """A hint from one layer of the teacher to one of the student.

    Args:
        layer: The student's: a stage or a module path.
        teacher_layer: The teacher's; empty is the same as `layer`.
    """

    needs = frozenset({"logits", "features"})

    def __init__(self, *, layer: str = "middle", teacher_layer: str = "") -> None:
        super().__init__()
        self.taps = ((layer, teacher_layer or layer),)
        self.projector: Projector | None = None

    def build(self, student: Outputs, teacher: Outputs) -> None:
        self.projector = Projector(*self._both(student, teacher))

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        mine, its = aligned(*self._both(student, teacher))
        if self.projector is None:
            raise UsageError(
                "the projector of 'fitnet' was not made.",
                fix="Call `build` with the features of a few rows, or give the objective both "
                "models.",
            )
        return fitnet_loss(self.projector(mine), its)

    def _both(self, student: Outputs, teacher: Outputs | None) -> tuple[Tensor, Tensor]:
        [(mine, its)] = self.taps
        return self.features(student, mine), self.features(teacher, its)
