"""An alarm about a slice that collapses while the mean stays: `{name: collapse, drop: 0.2}`."""

from typing import Annotated

from annotated_types import Interval

from stillhouse.gating.evidence import Evidence, Groups, Rows
from stillhouse.gating.grouped import GroupsTest
from stillhouse.gating.rule import Asked, Rule
from stillhouse.gating.shares import ShareTest

METRIC = "slices/worst"
WHOLE = ("test/accuracy", "test/exact_match")  # whichever the task has
HALF = 0.5  # of the accuracy of all rows: below it no belief excuses


class Collapse(Rule):
    """Holds the student where a slice that val made doubtful is shown, on the test rows, to lie
    more than `drop` below the accuracy of all rows and below what the student itself believes
    there, or below half the accuracy of all rows.

    Rows that are hard are hard for every model, and one that is calibrated says so: a slice of
    which it is sure in six of ten answers, and right in six of ten, has not collapsed. The slices
    are judged together: however many are looked at, a false alarm has the gate's error rate. Each
    is named with its rows in the receipt. Of several labels a row it is the exact match that may
    not fall; what the student believes of a whole row is the product over its labels.

    Args:
        drop: As a share: 0.2 is twenty points.
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
        found = evidence.of(METRIC)
        whole = next((evidence.measured[name] for name in WHOLE if name in evidence.measured), None)
        if not isinstance(found, Groups) or not isinstance(whole, Rows):
            why = evidence.unmeasured.get(METRIC, "no slice was looked at.")
            return Asked(None, ">=", "share", applies=False, why=why)
        right = float(whole.outcomes["student"].mean())
        tests = {}
        for name, own in found.outcomes.items():
            likely = min(found.expected.get(name, 1.0), right) - self.drop
            tests[name] = ShareTest(int(own.sum()), len(own), max(likely, right * HALF, 0.0), ">=")
        worst = GroupsTest(tests, ">=")
        return Asked(
            tests[worst.worst].bound,
            ">=",
            "share",
            observed=worst.observed,
            test=worst,
            about=worst.worst,
        )
