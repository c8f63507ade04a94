"""The one number that models of a task are compared by, and how it is read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """How good a model is, in one number.

    Attributes:
        key: Its metric: `test/<key>`.
        label: In words.
        unit: As people read it; empty if dimensionless.
        scale: From the stored number to the one that is read: 100 for shares.
        more_is_better: Which way.
    """

    key: str
    label: str
    unit: str
    scale: float
    more_is_better: bool

    @property
    def amount(self) -> str:
        """The unit of a difference: of per cents, points."""
        return "points" if self.unit == "%" else self.unit

    def of_merit(self, mean: float) -> float:
        """Return the measure of a mean merit: what is better the smaller it is has its sign
        turned.
        """
        return mean if self.more_is_better else -mean


ACCURACY = Measure("accuracy", "Accuracy", "%", 100.0, more_is_better=True)
