"""An absolute bound: `{metric: test/accuracy, at_least: 0.9}`."""

from typing import Literal

from stillhouse.errors import SettingsError
from stillhouse.gating import metrics
from stillhouse.gating.evidence import (
    Errors,
    Evidence,
    Exact,
    Groups,
    Partly,
    Ranked,
    Resampled,
    Rows,
)
from stillhouse.gating.foreseen import ForeseenTest
from stillhouse.gating.frozen import both, restricted
from stillhouse.gating.grouped import grouped
from stillhouse.gating.ranked import AreaTest, area
from stillhouse.gating.resampled import ResampledTest, resample_errors
from stillhouse.gating.rule import Asked, Direction, Rule, Test
from stillhouse.gating.shares import ShareTest

Doubtful = Rows | Resampled | Errors | Ranked | Groups | Partly  # all that rows tell


class Threshold(Rule):
    """Passes where the population's number reaches the bound, not only the test rows' number.

    Args:
        metric: What is bounded.
        at_least: The bound, in the metric's unit; shares are 0 to 1.
        at_most: The other kind of bound; exactly one of the two.
        against: May be written where the metric speaks about the champion anyway, as flips do.
        gates: False: only watched.

    Raises:
        SettingsError: Both bounds or none are given, or a share is bounded outside 0 to 1.
    """

    def __init__(
        self,
        *,
        metric: str,
        at_least: float | None = None,
        at_most: float | None = None,
        against: Literal["champion"] | None = None,
        gates: bool = True,
    ) -> None:
        if (at_least is None) == (at_most is None):
            given = (
                "neither at_least nor at_most" if at_least is None else "both at_least and at_most"
            )
            raise SettingsError(
                f"the rule about '{metric}' has {given}.",
                where="gate.rules",
                fix="Give exactly one; two bounds are two rules.",
            )
        self.metric, self.gates = metric, gates
        self.direction: Direction = ">=" if at_most is None else "<="
        self.bound = float(at_least if at_least is not None else at_most)  # type: ignore[arg-type]
        known = metrics.find(metric)
        if against is not None and not (known and known.champion):
            raise SettingsError(
                f"'{metric}' is not itself a comparison with the {against}.",
                where="gate.rules.against",
                fix="Compare by a margin, {metric: test/accuracy, against: champion, margin: 0.01},"
                " or leave `against` out.",
            )
        self.unit = known.unit if known else ""
        if self.unit == "share" and not 0 <= self.bound <= 1:
            raise SettingsError(
                f"the bound {self.bound:g} of '{metric}' is no share.",
                where="gate.rules",
                fix="Shares are 0 to 1: write 0.9 for 90 %.",
            )

    @property
    def label(self) -> str:
        return f"{self.metric} {'≥' if self.direction == '>=' else '≤'} {self.bound:g}"

    @property
    def floor(self) -> float | None:
        return self.bound if self.direction == ">=" else None

    def ask(self, evidence: Evidence, level: float) -> Asked:
        known = metrics.find(self.metric)
        if known is not None and known.champion and evidence.champion is None:
            why = "nothing is in production yet."
            return Asked(self.bound, self.direction, self.unit, applies=False, why=why)
        found = evidence.of(self.metric)
        if found is None:
            return Asked(
                self.bound, self.direction, self.unit, why=evidence.unmeasured[self.metric]
            )
        if isinstance(found, Exact):
            return Asked(self.bound, self.direction, self.unit, observed=found.value)
        asked = self._tested(found, level)
        frozen = evidence.frozen if known is not None and known.champion else None
        if frozen is None:
            return asked
        before = restricted(found, frozen) if frozen.any() else None
        if not isinstance(before, Rows | Groups):
            why = f"none of the rows that {evidence.champion} was tested on is among today's."
            return Asked(self.bound, self.direction, self.unit, why=why)
        return both(asked, self._tested(before, level), evidence.champion)

    def _tested(self, found: Doubtful, level: float) -> Asked:
        """Return the question with the test that what was measured allows."""
        unit, about = self.unit, ""
        test: Test
        if isinstance(found, Rows):
            right = found.outcomes["student"]
            test = ShareTest(int(right.sum()), len(right), self.bound, self.direction)
            observed = test.successes / test.n
        elif isinstance(found, Groups):
            test = grouped(found.outcomes, self.bound, self.direction)
            observed, about = test.observed, test.worst
        elif isinstance(found, Partly):
            test = ForeseenTest(found, self.bound, level)
            observed, about = float(found.right.mean()), _seen(found)
        elif isinstance(found, Ranked):
            ranked = area(found)
            test = AreaTest(ranked, self.bound, self.direction, len(found.positive) - found.made)
            observed = float(ranked.areas[0])
        else:
            if isinstance(found, Errors):
                unit, found = found.unit, resample_errors(found)
            test = ResampledTest(found, self.bound, self.direction)
            observed = found.estimate
        return Asked(self.bound, self.direction, unit, observed=observed, test=test, about=about)


def _seen(found: Partly) -> str:
    return (
        f"the first {len(found.right):,} of {found.total:,} rows, in random order; the verdict on "
        f"all is foreseen, wrongly in at most {found.delta:.2g} of runs"
    )
