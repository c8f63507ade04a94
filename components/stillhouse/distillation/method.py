"""What every distillation method does: a loss per row."""

from typing import cast

import torch
from torch import Tensor, nn

from stillhouse.distillation.classroom import Classroom
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import CLASSIFICATION, Task
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.plugins import snake


class Method(nn.Module):
    """A loss that knows a teacher.

    A plugin of one `forward`; settings are its constructor's parameters.

    Attributes:
        per_sample: Whether `forward` returns a loss per row [B]. A batch-level loss returns a
            scalar and is refused with a selector.
        needs: What the teacher must give: some of logits, features, gradients; empty for methods
            without a teacher.
        accepts: The kinds of rows it takes.
        taps: Pairs of the features it looks at, the student's and the teacher's: module paths or
            stages (`early`, `middle`, `late`, `penultimate`). A pair's names are the keys of
            `Outputs.features`.
        tasks: What may be predicted: classification, regression, multi_label. Answers and targets
            of a regression come in standard deviations of its targets; of several labels a row
            answers are log-odds [B, L], and targets [B, L] 1, 0, or NaN where nobody knows.
        hardens: Whether it trains a student to withstand attack; the receipt then shows a plain
            one beside it.
        task: What is predicted here, by `attend`.
        by_row: For methods whose loss of a row depends on that row alone: the settings that may be
            a tensor [B, 1], a value a row, so that students with different ones are trained
            together at the price of one. None: such students are asked one by one.
    """

    per_sample: bool = True
    needs: frozenset[str] = frozenset({"logits"})
    accepts: frozenset[str] = frozenset({"image", "table", "series"})
    taps: tuple[tuple[str, str], ...] = ()
    tasks: frozenset[str] = frozenset({"classification"})
    hardens: bool = False
    by_row: frozenset[str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.task: Task = CLASSIFICATION
        self._classroom: Classroom | None = None

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:  # noqa: ARG002
        """Return the loss per row [B], nats where it is a divergence.

        Args:
            student: Logits [B, C] and the taps asked for.
            teacher: The same of the teacher, without gradients; None if there is none.
            batch: The rows themselves.
        """
        raise TypeError(f"{type(self).__name__} is a Method without a forward.")

    def attend(self, task: Task) -> None:
        """Take note of what is predicted; called once before training."""
        self.task = task

    def enter(self, classroom: Classroom) -> None:
        """Take note of who and what is there while the student trains; called once, after `attend`
        and before `build`.
        """
        self._classroom = classroom

    @property
    def classroom(self) -> Classroom:
        """Who and what is there.

        Raises:
            UsageError: Nobody has said.
        """
        if self._classroom is None:
            raise UsageError(
                f"'{snake(type(self).__name__)}' asks while the student trains, and was not told "
                "whom.",
                fix="Call `enter`, or give the objective both models.",
            )
        return self._classroom

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make what depends on the size of features, such as a projector; called once before
        training, so that the optimiser gets its parameters.

        Args:
            student: Logits and the features of `taps` of a few rows.
            teacher: The same of the teacher.
        """

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return what the student sees in place of `batch.inputs`."""
        return batch.inputs

    def after_step(self, model: Classifier) -> None:
        """Do what the method does after each optimiser step, such as moving an average."""

    def answers(self, teacher: Outputs | None) -> Tensor:
        """Return the teacher's logits [B, C].

        Raises:
            UsageError: There is no teacher.
        """
        if teacher is None:
            raise UsageError(
                f"'{snake(type(self).__name__)}' needs a teacher's logits.",
                fix="Give the objective stored answers, or choose a method without a teacher.",
            )
        return teacher.logits

    def features(self, outputs: Outputs | None, tap: str) -> Tensor:
        """Return the features at one of the `taps`, rows first.

        Raises:
            UsageError: There is no teacher, or it gave no features.
        """
        if outputs is None or tap not in outputs.features:
            raise UsageError(
                f"'{snake(type(self).__name__)}' needs the features '{tap}'.",
                fix="Give the objective both models, or choose a method that needs logits alone.",
            )
        return outputs.features[tap]

    def __call__(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        return cast(Tensor, super().__call__(student, teacher, batch))


def beside(setting: float | Tensor) -> float | Tensor:
    """Return a setting so that it stands beside a loss per row [B]; a tensor of settings is [B, 1]
    where it stands beside logits.
    """
    return setting.squeeze(-1) if isinstance(setting, Tensor) else setting
