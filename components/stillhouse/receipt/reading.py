"""How the one number that models are compared by is read: per cent and points of accuracy, or an
error in its quantity's unit.
"""

from dataclasses import dataclass

from stillhouse.evaluation.measure import ACCURACY, Measure
from stillhouse.receipt import numbers
from stillhouse.receipt.outcomes import Json

DIGITS = 3  # that count, of an error


@dataclass(frozen=True)
class Reading:
    """A measure, and how many decimals its numbers are shown with.

    Attributes:
        of: The measure.
        digits: Decimals.
    """

    of: Measure
    digits: int

    @property
    def key(self) -> str:
        """What teacher, student and arms keep it under."""
        return f"test_{self.of.key}"

    @property
    def amount(self) -> str:
        """The unit behind a difference: points of accuracy."""
        return self.of.amount

    @property
    def ceiling(self) -> float | None:
        """The largest number there can be, as it is read."""
        return 100.0 if self.of.unit == "%" else None

    def read(self, value: float) -> float:
        """Return a stored number as it is read, for figures."""
        return self.of.scale * value

    def number(self, value: float) -> str:
        """Return a stored number as text, without its unit."""
        return numbers.fixed(self.read(value), self.digits)

    def signed(self, value: float) -> str:
        """Return a stored difference as text, without its unit."""
        return numbers.signed(self.read(value), self.digits)

    def spread(self, interval: list[float]) -> str:
        """Return [low, high] of a stored [low, estimate, high]."""
        return numbers.between(interval[0], interval[2], self.number)


def reading(receipt: Json) -> Reading:
    """Return how the models of a receipt are compared; a receipt that does not say compares
    accuracies.
    """
    told = receipt["evidence"].get("measure")
    if told is None or told["unit"] == "%":
        return Reading(ACCURACY if told is None else Measure(**told), 1)
    measure = Measure(**told)
    return Reading(measure, decimals(abs(receipt["teacher"][f"test_{measure.key}"][1])))


def decimals(value: float) -> int:
    """Return the decimals that show three digits that count, none to six."""
    return next(
        (digits for digits in range(6) if value >= 10.0 ** (DIGITS - 1 - digits)),
        6,
    )
