"""Who and what is there while the student trains, for methods and selectors that ask in the middle
of a step.
"""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from stillhouse.attacks.run import frozen
from stillhouse.attacks.space import Space
from stillhouse.data.dataset import Dataset
from stillhouse.errors import UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.device import device_of
from stillhouse.models.outputs import Batch


@dataclass(frozen=True)
class Classroom:
    """N rows, C classes.

    Attributes:
        student: The model that is trained, with its first weights.
        teacher: A torch model in data space; None where only stored answers are there.
        rows: What is learned from.
        answers: The teacher's stored logits [N, C], as it gave them; None without a teacher.
        order: For each row the one whose answers it gets [N]; None for its own.
        steps: Optimiser steps that the training takes; 0 where nobody has said.
    """

    student: Classifier
    teacher: nn.Module | None
    rows: Dataset
    answers: Tensor | None
    order: Tensor | None = None
    steps: int = 0

    @cached_property
    def space(self) -> Space:
        """Where rows may be: bounds, scale and what may change; it lies where the student does."""
        space = Space.of(self.rows.schema, self.rows.inputs)
        return space.on(device_of(self.student) or self.rows.inputs.device)

    @cached_property
    def told(self) -> Tensor:
        """What every row gets for the teacher's answer, [N, C].

        Raises:
            UsageError: There is no teacher.
        """
        if self.answers is None:
            raise UsageError(
                "there is no teacher to ask.",
                fix="Give the objective stored answers, or choose a method without a teacher.",
            )
        return self.answers if self.order is None else self.answers[self.order]

    def stored(self, batch: Batch) -> Tensor:
        """Return the teacher's stored logits [B, C] for a batch. Errors as `told`."""
        return self.told[batch.rows.to(self.told.device)].to(batch.inputs)

    def ask(self, batch: Batch, inputs: Tensor) -> Tensor:
        """Return the teacher's logits [B, C] at rows near those of a batch; gradients flow to
        `inputs`, none to the teacher.

        Where another row's answers are given in a row's place, the teacher is asked about that row,
        moved by as much.

        Args:
            batch: Where `inputs` come from.
            inputs: [B, *shape], in data space.

        Raises:
            UsageError: The teacher is no torch model.
        """
        if self.teacher is None:
            raise UsageError(
                "the teacher can only be asked about the rows themselves: it is no torch model.",
                where="distill.method",
                fix="Choose `rslad`, which needs its stored answers alone.",
            )
        at = inputs
        if self.order is not None:
            other = self.rows.inputs[self.order[batch.rows.to(self.order.device)]].to(inputs)
            at = other + (inputs - batch.inputs).nan_to_num(0.0)
        with frozen(self.teacher):
            told: Tensor = self.teacher(at.to(device_of(self.teacher)))
        return told.to(inputs.device)

    def progress(self, batch: Batch) -> float:
        """Return how much of the training is done after this batch, in (0, 1]; 1 where nobody knows
        how long it takes.
        """
        return min(1.0, (batch.step + 1) / self.steps) if self.steps else 1.0
