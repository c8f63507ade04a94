"""What every rule does: look at the evidence and say what it asks of it.

How surely it must hold is decided over all rules together, in `verdict`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

from stillhouse.gating.evidence import Evidence

Direction = Literal[">=", "<="]


class Test(Protocol):
    """A question about the population, answered from rows: whether the bound is met, and whether it
    is missed.

    Attributes:
        met: p-value of "the bound is missed"; small lets the rule pass.
        missed: p-value of "the bound is met"; small lets it fail.
        rows: How many rows it read.
        discordant: Rows (lost, won) where two models are compared; else None.
    """

    @property
    def met(self) -> float:
        """Read `met` above."""

    @property
    def missed(self) -> float:
        """Read `missed` above."""

    @property
    def rows(self) -> int:
        """Read `rows` above."""

    @property
    def discordant(self) -> tuple[int, int] | None:
        """Read `discordant` above."""

    def interval(self, level: float) -> tuple[float, float]:
        """Return the one-sided bounds of the observed number, each of error rate `level`."""

    def rows_needed(self, level: float) -> int | None:
        """Return about how many rows would decide, if more rows were like these; None if no number
        of them would.
        """

    def power(self, level: float) -> float | None:
        """Return how often an equal student passes at this number of rows; None where the rule
        compares with no model.
        """


@dataclass(frozen=True)
class Asked:
    """What a rule found before it is known how surely it must hold.

    Attributes:
        bound: What is required.
        direction: Whether at least or at most that.
        unit: Of observed and bound.
        observed: On today's rows; None where nothing could be observed.
        test: For what only rows can tell. None: `observed` is exact, or the rule was not asked.
        applies: False where there is nothing to compare with, such as a champion before the first
            promotion.
        why: Why nothing could be observed; empty otherwise.
        about: Which part of the rows was worst, where that is what is judged.
    """

    bound: float | None
    direction: Direction
    unit: str
    observed: float | None = None
    test: Test | None = None
    applies: bool = True
    why: str = ""
    about: str = ""

    @property
    def exact(self) -> bool:
        """Whether the observed number is known without doubt."""
        return self.applies and self.test is None and self.observed is not None

    def reaches(self, value: float) -> bool:
        """Whether a value is on the required side of the bound."""
        return self.bound is not None and (
            value >= self.bound if self.direction == ">=" else value <= self.bound
        )


class Rule(ABC):
    """Asks one thing of a student.

    A plugin of one `ask`; what it asks for is its constructor's parameters.

    Attributes:
        metric: What it speaks about.
        gates: False: it is watched, and never changes the verdict.
        against: Whom it compares with; None for an absolute rule.
        guards: Whether it is an alarm: it passes unless the rows show the contrary, and then holds.
            As passing claims nothing, an alarm takes nothing from the other rules' error rate, and
            cannot be all that a gate has.
    """

    metric: str = ""
    gates: bool = True
    against: str | None = None
    guards: bool = False

    @property
    def label(self) -> str:
        """What the receipt calls it."""
        return self.metric or type(self).__name__

    @property
    def floor(self) -> float | None:
        """What its metric must at least be, known before anything is measured; None where it asks
        for something else.
        """
        return None

    @abstractmethod
    def ask(self, evidence: Evidence, level: float) -> Asked:
        """Return what the evidence says.

        Args:
            evidence: What was measured, on the same rows for every model.
            level: The strictest error rate at which the rule may be judged; for choices that have
                to be made before.

        Raises:
            SettingsError: The rule names what this run does not measure.
        """
