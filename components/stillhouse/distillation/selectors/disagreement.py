"""Learn from the teacher where it tells the student something new."""

from torch import Tensor

from stillhouse.config import Share
from stillhouse.distillation.selector import Selector
from stillhouse.models.outputs import Batch, Outputs


class Disagreement(Selector):
    """Weight 1 for rows that student and teacher decide differently at this moment, a smaller one
    for the rest.

    Args:
        agreed: Weight of rows on which they agree; 0 leaves them out, and the student may forget
            what it is no longer told.
    """

    def __init__(self, *, agreed: Share = 0.5) -> None:
        self.agreed = agreed

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        differ = (student.logits.argmax(dim=-1) != teacher.logits.argmax(dim=-1)).to(
            teacher.logits.dtype
        )
        return differ + self.agreed * (1 - differ)
