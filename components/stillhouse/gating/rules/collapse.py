"""An alarm about a slice that collapses while the mean stays: `{name: collapse, drop: 0.2}`."""

from typing import Annotated

from annotated_types import Interval

from stillhouse.gating.evidence import Evidence, Groups, Rows
from stillhouse.gating.grouped import grouped
from stillhouse.gating.rule import Asked, Rule

METRIC, WHOLE = "slices/worst", "test/accuracy"


class Collapse(Rule):
    """Holds the student where a slice that val made doubtful is shown, on the test rows, to lie
    more than `drop` below the accuracy of all rows.

    The slices are judged together: however many are looked at, a false alarm has the gate's error
    rate. Each is named with its rows in the receipt.

    Args:
        drop: As a share: 0.2 is twenty points below the whole.
        gates: False: only watched.
    """

    guards = True

    def __init__(
        self, *, drop: Annotated[float, Interval(gt=0, lt=1)] = 0.2, gates: bool = True
    ) -> None:
        self.metric, self.drop, self.gates = METRIC, drop, gates

    @property
    def label(self) -> str:
        return f"{self.metric} within {self.drop:g}"

    def ask(self, evidence: Evidence, level: float) -> Asked:  # noqa: ARG002
        found, whole = evidence.of(METRIC), evidence.of(WHOLE)
        if not isinstance(found, Groups) or not isinstance(whole, Rows):
            why = evidence.unmeasured.get(METRIC, "no slice was looked at.")
            return Asked(None, ">=", "share", applies=False, why=why)
        bound = max(float(whole.outcomes["student"].mean()) - self.drop, 0.0)
        worst = grouped(found.outcomes, bound, ">=")
        return Asked(bound, ">=", "share", observed=worst.observed, test=worst, about=worst.worst)
