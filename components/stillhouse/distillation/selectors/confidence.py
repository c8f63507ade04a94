"""Learn from the teacher only where it is sure."""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.config import Share
from stillhouse.distillation.selector import Selector
from stillhouse.models.outputs import Batch, Outputs


class Confidence(Selector):
    """Weight 1 for rows whose largest teacher probability reaches a threshold, 0 for the rest.

    Args:
        threshold: The smallest probability that counts as sure, at temperature 1.
    """

    def __init__(self, *, threshold: Share = 0.5) -> None:
        self.threshold = threshold

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        surest = F.softmax(teacher.logits, dim=-1).amax(dim=-1)
        return (surest >= self.threshold).to(teacher.logits.dtype)
