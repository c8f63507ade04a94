"""What every teacher does: get ready once, then answer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.models.device import CPU


@dataclass(frozen=True)
class Lesson:
    """What a teacher may learn from: all train rows with all their targets, also those withheld
    from the student.

    Attributes:
        train: All train rows.
        val: For choosing; never test.
        root: Relative paths in settings start here.
        scratch: A folder for checkpoints that survive a kill.
        seed: Of everything random.
        progress: Called with (done, total, note) while it works.
        device: Where a torch model is trained; what is stored comes from the CPU.
    """

    train: Dataset
    val: Dataset
    root: Path
    scratch: Path
    seed: int
    progress: Callable[[int, int, str], None]
    device: torch.device = CPU


class Oracle(ABC):
    """A teacher that is ready to answer.

    Attributes:
        gives: Some of logits, features, gradients.
        parameters: How many weights it has; 0 where nobody can know.
        module: The torch module in data space, if it is one.
        by_row: Whether it answers by the row's number and never looks at its inputs, so that it
            can say nothing of an augmented view.
        usd_per_row: What it costs to ask about a row that was not asked before.
        asks: How many such questions stand behind one answer.
        divisible: Whether it is a model that runs here, so that fewer rows at once cost nothing.
        moves: Whether its module can compute on another device; others stay where they are.
    """

    gives: frozenset[str] = frozenset({"logits"})
    parameters: int = 0
    module: nn.Module | None = None
    by_row: bool = False
    usd_per_row: float = 0.0
    asks: int = 1
    divisible: bool = False
    moves: bool = False

    def to(self, device: torch.device) -> None:
        """Compute on a device from now on, if it can; rows may lie anywhere."""
        if self.moves and self.module is not None:
            self.module.to(device)

    @abstractmethod
    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Return logits (or log-probabilities) [B, C], float32.

        Args:
            inputs: [B, *shape], data space.
            rows: [B], int64: the rows' numbers in their source.
        """

    def answers(self, rows: Tensor) -> Tensor:
        """Return which rows it can answer, bool [B]; a model answers all, a list of predictions
        those that it holds.
        """
        return torch.ones(len(rows), dtype=torch.bool)

    def keep_in(self, folder: Path) -> None:  # noqa: B027 - most have nothing to keep
        """Keep answers that cost something in a folder that outlives the run."""

    def unpaid(self, inputs: Tensor) -> int:
        """Return how many rows of [B, *shape] would have to be paid for."""
        return len(inputs) if self.usd_per_row else 0

    def require_money(self, rows: int) -> None:  # noqa: B027 - most are free
        """Refuse, before it begins, a job of so many paid rows that costs more than is allowed.

        Raises:
            OverBudget: It would; the message has the sums.
        """

    def require_same(self, inputs: Tensor, rows: Tensor) -> None:  # noqa: B027 - most keep nothing
        """Refuse if it now answers otherwise than in the answers that it kept.

        Raises:
            SourceError: It does; rows are named.
        """


class _Function(Oracle):
    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor], parameters: int) -> None:
        self._answer, self.parameters = answer, parameters

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        return self._answer(inputs, rows)


def oracle(answer: Callable[[Tensor, Tensor], Tensor], *, parameters: int = 0) -> Oracle:
    """Return a black box that answers by a function.

    Args:
        answer: Inputs [B, *shape] in data space and row numbers [B] to logits [B, C], float32.
        parameters: How many weights it has; 0 where nobody can know.
    """
    return _Function(answer, parameters)


class Teacher(ABC):
    """A kind of teacher, made from settings.

    Attributes:
        accepts: The kinds of rows it takes.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})

    @abstractmethod
    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        """Return the files that make this teacher, by name; the step stores them.

        Raises:
            SourceError: A file that the settings name is missing, or is not what it says.
        """

    @abstractmethod
    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        """Return the teacher that `learn` stored, ready to answer.

        Raises:
            SourceError: It answers another number of classes than the data has, or the file is not
                what it says.
        """
