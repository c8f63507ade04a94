"""What rules look at: outcomes by row, numbers known exactly, and numbers whose doubt comes from
resampled rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy import bool_, float64
from numpy.typing import NDArray

from stillhouse.errors import SettingsError, nearest


@dataclass(frozen=True)
class Rows:
    """Right or wrong by row.

    Attributes:
        outcomes: By model, bool [N], the same rows in the same order.
    """

    outcomes: Mapping[str, NDArray[bool_]]


@dataclass(frozen=True)
class Exact:
    """A number that no other rows would change, such as a file's size."""

    value: float


@dataclass(frozen=True)
class Resampled:
    """A number of the rows that is not a share of them.

    Attributes:
        estimate: On the rows themselves.
        draws: [R], rising: on resampled rows, moved by their bias.
        rows: N.
    """

    estimate: float
    draws: NDArray[float64]
    rows: int


@dataclass(frozen=True)
class Errors:
    """How far off each row's answer is; means over rows are judged, and less is better.

    Attributes:
        by_row: By model, [N], never negative, the same rows in the same order.
        unit: Of the number that is judged.
        root: Whether the root of the mean is judged (of squared errors).
    """

    by_row: Mapping[str, NDArray[float64]]
    unit: str
    root: bool = False


@dataclass(frozen=True)
class Ranked:
    """How probable each row's positive class is to each model.

    Attributes:
        scores: By model, [N], the same rows in the same order.
        positive: [N]: which rows are.
        made: How many of them are no rows of the test split.
    """

    scores: Mapping[str, NDArray[float64]]
    positive: NDArray[bool_]
    made: int = 0


@dataclass(frozen=True)
class Groups:
    """Outcomes of several groups of rows, of which the worst is judged.

    Attributes:
        outcomes: By group, in words, bool [its rows]; at least one group, each with rows.
        expected: How sure the student is of each group's rows, on average; empty where nobody
            asked.
        inside: Which of all rows [rows] each group has; empty where it is not known by row.
    """

    outcomes: Mapping[str, NDArray[bool_]]
    expected: Mapping[str, float] = field(default_factory=dict)
    inside: Mapping[str, NDArray[bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class Partly:
    """Right or wrong of the rows that were looked at before the verdict was settled.

    Attributes:
        right: [seen], bool, in the random order in which they were looked at.
        total: N rows that there are.
        delta: How often, at most, a settled failure would not have come.
    """

    right: NDArray[bool_]
    total: int
    delta: float


@dataclass(frozen=True)
class Settled:
    """Right or wrong of two models, on the rows that were looked at before the verdict on their
    difference was settled.

    Attributes:
        outcomes: By model, bool [seen], in the random order in which they were looked at.
        total: N rows that there are.
        margin: Of the rule.
        level: Of the test on all rows, decided before anything was seen.
        delta: How often, at most, that test would have said something else.
        passes: What it is foreseen to say.
    """

    outcomes: Mapping[str, NDArray[bool_]]
    total: int
    margin: float
    level: float
    delta: float
    passes: bool


Measured = Rows | Exact | Resampled | Errors | Ranked | Groups | Partly


@dataclass(frozen=True)
class Evidence:
    """Everything that a student is judged by.

    Attributes:
        measured: By metric.
        rows: Test rows with a target.
        unmeasured: Metrics that this run knows but could not measure, with the reason: rules about
            them stay undecided.
        champion: What is in production, in words; None before the first promotion.
        incomparable: Why the champion could not be asked today's rows; rules about it stay
            undecided, since "could not" is not "is none".
        frozen: Which of the rows [rows] the champion was tested on, bool; None where all of them
            are, or nobody knows.
        versus: Student and champion under the attacks that both were under, by metric.
    """

    measured: Mapping[str, Measured]
    rows: int
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    champion: str | None = None
    incomparable: str = ""
    frozen: NDArray[bool_] | None = None
    versus: Mapping[str, Rows | Settled] = field(default_factory=dict)

    def of(self, metric: str) -> Measured | None:
        """Return what is known of a metric; None if it could not be measured.

        Raises:
            SettingsError: This run has no such metric.
        """
        if metric in self.measured:
            return self.measured[metric]
        if metric in self.unmeasured:
            return None
        raise SettingsError(
            f"this run measures no '{metric}'.",
            where="gate.rules",
            fix=nearest(metric, [*self.measured, *self.unmeasured]),
        )
