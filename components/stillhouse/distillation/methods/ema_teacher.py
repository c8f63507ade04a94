"""Mean teacher: no teacher at hand, so the student learns to answer as the average of its own past
selves.
"""

import copy
import math

import torch
from torch import Tensor, nn

from stillhouse.attacks.run import frozen
from stillhouse.config import Share
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.method import Method
from stillhouse.distillation.told import told
from stillhouse.errors import UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs

SLOPE = 5.0  # of the weight's rise, exp(−5 (1 − t)²), as in the paper


def ema_teacher_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two models' probabilities, per row.

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C] of the average; no gradient flows into them.

    Returns:
        [B], in [0, 2 / C].

    Source:
        Tarvainen and Valpola 2017, arXiv:1703.01780, section 2; divided by C as in the authors'
        code.

    Example:
        >>> import torch
        >>> ema_teacher_loss(torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])).item()
        1.0
    """
    return (student.softmax(dim=-1) - told(teacher, student).softmax(dim=-1)).square().mean(dim=-1)


class EmaTeacher(Method):
    """Agreement with the moving average of the student's own weights, on labelled rows and others;
    the labels come from the supervised part.

    Args:
        decay: Of the average; early on it is smaller, 1 − 1 / (step + 1), as in the authors' code.
        rise: Share of the training over which the loss rises to its weight; the paper's 80 of 180
            epochs.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, *, decay: Share = 0.999, rise: Share = 4 / 9) -> None:
        super().__init__()
        self.decay, self.rise = decay, rise
        self.average: nn.Module | None = None
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._told = torch.empty(0)

    steps: Tensor

    def enter(self, classroom: Classroom) -> None:
        """Begin with the student's first weights.

        Raises:
            UsageError: No row has a label, so that agreeing with oneself is all there is to learn.
        """
        super().enter(classroom)
        if not len(classroom.rows.labelled):
            raise UsageError(
                "'ema_teacher' has no teacher, and no row has a label.",
                where="distill.method",
                fix="Give labels, or choose a method with a teacher.",
            )
        self.average = copy.deepcopy(classroom.student).requires_grad_(False)

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        if self.average is None:
            raise UsageError(
                "'ema_teacher' was not given a student to average.",
                fix="Call `enter`, or give the objective both models.",
            )
        with frozen(self.average), torch.no_grad():
            self._told = self.average(batch.inputs)
        return batch.inputs

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        done = self.classroom.progress(batch)
        left = max(0.0, 1 - done / self.rise) if self.rise else 0.0
        return math.exp(-SLOPE * left**2) * ema_teacher_loss(student.logits, self._told)

    def after_step(self, model: Classifier) -> None:
        if self.average is None:
            return
        self.steps += 1
        decay = min(1 - 1 / (int(self.steps) + 1), self.decay)
        with torch.no_grad():
            for mine, its in zip(self.average.parameters(), model.parameters(), strict=True):
                mine.lerp_(its, 1 - decay)
            for held, new in zip(self.average.buffers(), model.buffers(), strict=True):
                held.copy_(new)
