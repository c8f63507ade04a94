"""A simple recipe: a linear projector, batch norm on both sides, and a distance whose logarithm is
taken so that its gradient does not fade.
"""

import torch
from torch import Tensor

from stillhouse.config import Positive
from stillhouse.distillation.method import Method
from stillhouse.distillation.projector import Projector, pooled
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Outputs

# Of the sum below the logarithm: equal features give log 1e-5 = −11.5 and a gradient of 0, not −∞
# and NaN. The authors' ImageNet code has none.
SMALLEST_SUM = 1e-5
SMALLEST_VARIANCE = 1e-4  # of a batch norm; the authors' ImageNet code has the same


def srd_loss(student: Tensor, teacher: Tensor, power: float = 4.0) -> Tensor:
    """Return log Σ |student − teacher|^power over the rows and features of a batch, each feature
    standardised over the rows.

    Args:
        student: Projected features [B, D].
        teacher: [B, D]; no gradient flows into it.
        power: Above 1 the worst features count most.

    Returns:
        A scalar, no less than log 1e-5. Of one row it is that, with a gradient of 0: one row has no
        spread.

    Source:
        Miles and Mikolajczyk 2024, arXiv:2303.11098, log-sum distance; as in the authors' ImageNet
        code. Their DeiT code compares correlations with 1.
    """
    difference = _standardized(student) - _standardized(told(teacher, student))
    return torch.log(difference.abs().pow(power).sum() + SMALLEST_SUM)


def _standardized(features: Tensor) -> Tensor:
    """Batch norm without memory: the projector is gone when the student is asked, so no running
    mean is ever used.
    """
    centred = features - features.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + SMALLEST_VARIANCE).sqrt()


class SRD(Method):
    """Features pooled over positions, projected, standardised and compared; the sum over the batch
    lets no selector weigh its rows.

    Args:
        power: α in the paper.
        layer: The student's: a stage or a module path.
        teacher_layer: The teacher's; empty is the same as `layer`.
    """

    per_sample = False
    needs = frozenset({"logits", "features"})

    def __init__(
        self, *, power: Positive = 4.0, layer: str = "penultimate", teacher_layer: str = ""
    ) -> None:
        super().__init__()
        self.power = power
        self.taps = ((layer, teacher_layer or layer),)
        self.projector: Projector | None = None

    def build(self, student: Outputs, teacher: Outputs) -> None:
        self.projector = Projector(*self._both(student, teacher))

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        mine, its = self._both(student, teacher)
        if self.projector is None:
            raise UsageError(
                "the projector of 'srd' was not made.",
                fix="Call `build` with the features of a few rows, or give the objective both "
                "models.",
            )
        return srd_loss(self.projector(mine), its, self.power)

    def _both(self, student: Outputs, teacher: Outputs | None) -> tuple[Tensor, Tensor]:
        [(mine, its)] = self.taps
        return pooled(self.features(student, mine)), pooled(self.features(teacher, its))
