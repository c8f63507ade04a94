"""Do not learn from the teacher where it is known to be wrong."""

from torch import Tensor

from stillhouse.distillation.selector import Selector
from stillhouse.models.outputs import Batch, Outputs


class TeacherCorrect(Selector):
    """Weight 0 for labelled rows that the teacher decides wrongly, 1 for all others; where there is
    no label nobody can know.
    """

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:  # noqa: ARG002
        wrong = batch.labelled & (teacher.logits.argmax(dim=-1) != batch.targets)
        return (~wrong).to(teacher.logits.dtype)
