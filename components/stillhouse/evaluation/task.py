"""What every task says of itself: its base loss, what its numbers are called, and what is to be
stored of a teacher's answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.evaluation.measure import Measure


class Task(ABC):
    """A task. N rows, C outputs; targets that are not there are left out by whoever asks, but for
    `total`.

    Attributes:
        name: As the schema says it.
        words: It in a sentence: "this is a …".
        output: What an exported model calls its answer.
        aim: What a study aims at where nobody says.
        scalars: Its metrics of a split, in the order they are told.
        measure: What models are compared by, and which way is better.
        gated: Metrics that a teacher's gate may name.
        score: What training watches on val, in a word.
        decides: Whether a model decides for one of several answers, so that attacks, flips and
            confusions mean something.
        why_no_decision: Why not, in a sentence; empty where it does.
        right_or_wrong: Whether an answer is one of the two, so that rows can flip and its merit is
            a yes or no.
        quantiles: Levels that are told in place of one number.
        controls: Control arm → whose gain is told, and what it is compared with.
        moved_unit: In what a change of an answer is told.
        hard: What the arm `hard` learns from, in words.
        instead: What to write in place of a `method` or `selector` that is not for it.
    """

    name: str
    words: str
    output: str
    aim: str
    scalars: tuple[str, ...]
    measure: Measure
    gated: tuple[str, ...]
    score: str
    decides: bool
    why_no_decision: str = ""
    right_or_wrong: bool = True
    instead: ClassVar[Mapping[str, str]]
    controls: ClassVar[Mapping[str, tuple[str, str]]]
    hard: str
    moved_unit: str
    quantiles: tuple[float, ...] = ()

    @abstractmethod
    def total(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the sum of the base loss over the rows that have a target, a scalar.

        Args:
            outputs: [B, C]; of a quantity in standard deviations of the targets.
            targets: [B], of a quantity likewise; [B, C] of several labels a row.
            weights: By class [C]; None: all 1.
        """

    @abstractmethod
    def each(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the base loss of each row [B], 0 where it has no target; arguments as `total`."""

    @abstractmethod
    def follow(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return the base loss [B] with the teacher's decision in the label's place: what the arm
        `hard` learns.

        Args:
            outputs: The student's [B, C].
            teacher: The teacher's [B, C].
        """

    @abstractmethod
    def stored(self, outputs: Tensor) -> Tensor:
        """Return what knowledge keeps of a teacher's answers [N, C]."""

    @abstractmethod
    def merit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return how good each answer is, [N]; means of it are compared, and more is better."""

    @abstractmethod
    def alike(self, outputs: Tensor, others: Tensor) -> Tensor | None:
        """Return on which rows two models decide alike, bool [N]; None where none decides."""

    def agreement(self, outputs: Tensor, others: Tensor) -> float | None:
        """Return the share of rows on which two models decide alike; None where none decides."""
        same = self.alike(outputs, others)
        return None if same is None else float(same.double().mean())

    @abstractmethod
    def moved(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Return by how much two answers to each row differ at most, [N], in `moved_unit`."""

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the metrics by name, as far as these outputs have them."""

    @abstractmethod
    def curve(self, outputs: Tensor, targets: Tensor) -> tuple[float, float]:
        """Return what training watches on val: a score (more is better) and a loss."""

    @abstractmethod
    def report(self, outputs: Tensor, targets: Tensor, schema: Schema) -> dict[str, Any]:
        """Return everything that evaluation knows of a split, ready for JSON."""

    @abstractmethod
    def answers(
        self, outputs: Tensor, schema: Schema, thresholds: Sequence[float] = ()
    ) -> list[Mapping[str, Any]]:
        """Return each row's answer in words and numbers, for those who ask the model.

        Args:
            outputs: [N, C].
            schema: What the outputs mean.
            thresholds: Of two classes the one probability from which on a row is called the one
                that is looked for, of several labels that of each; empty: whichever is likelier.
        """

    def points(self, split: str, found: Mapping[str, Any]) -> dict[str, float]:
        """Return the estimates of a `report` by metric path: {"val/accuracy": …, …}."""
        return {f"{split}/{name}": float(found[name][1]) for name in self.scalars if name in found}
