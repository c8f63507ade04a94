"""Learn from the teacher where the student does not know."""

import math
from typing import ClassVar

from torch import Tensor

from stillhouse.config import Share
from stillhouse.distillation.selector import Selector
from stillhouse.models.outputs import Batch, Outputs


class Uncertain(Selector):
    """Weights from a floor, where the student is sure, to 1, where it finds all classes as likely:
    its entropy at this moment over log C.

    Args:
        floor: Weight of a row that the student is sure of; 0 lets it learn nothing.
    """

    hears: ClassVar[bool] = False

    def __init__(self, *, floor: Share = 0.2) -> None:
        self.floor = floor

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        log_q = student.logits.detach().log_softmax(dim=-1)
        entropy = -(log_q.exp() * log_q).sum(dim=-1)
        doubt = (entropy / math.log(max(2, log_q.shape[-1]))).clamp(0, 1)
        return self.floor + (1 - self.floor) * doubt
