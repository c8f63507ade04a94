"""A comparison on the same rows: `{metric: test/accuracy, against: teacher, margin: 0.06}`."""

from typing import Literal

from stillhouse.errors import SettingsError
from stillhouse.evaluation.paired import pairs
from stillhouse.gating import metrics
from stillhouse.gating.differences import DifferenceTest, affordable
from stillhouse.gating.evidence import Errors, Evidence, Measured, Ranked, Rows, Settled
from stillhouse.gating.frozen import both, restricted
from stillhouse.gating.matched import MatchedTest, affordable_margin
from stillhouse.gating.ranked import AreaDifferenceTest, areas
from stillhouse.gating.ranked import affordable_margin as area_margin
from stillhouse.gating.resampled import resample_difference
from stillhouse.gating.rule import Asked, Direction, Rule
from stillhouse.gating.settled import SettledTest


class Paired(Rule):
    """Passes where the student is not worse than another model by more than the margin: the lower
    bound of (student − other) is above −margin; of errors, the upper bound is below the margin.

    Args:
        metric: Right or wrong, or an error, by row for both models. Under attack the champion is
            attacked as the student was.
        against: The teacher, the champion in production, or a control arm (seed 0 with seed 0).
        margin: As a share: 0.06 is six points; of an error in its own unit. 0 demands that the
            student is better, a negative margin by how much. Left out: the smallest at which an
            equal student passes in at least 80 % of such test sets.
        gates: False: only watched.

    Raises:
        SettingsError: The metric has no outcome by row for two models, or not for this one, or the
            margin of a share is none.
    """

    def __init__(
        self,
        *,
        metric: str,
        against: Literal["teacher", "champion", "none", "hard"],
        margin: float | None = None,
        gates: bool = True,
    ) -> None:
        known = metrics.find(metric)
        if known is None or not known.paired:
            can = ", ".join(m.name for m in metrics.CATALOGUE.values() if m.paired)
            raise SettingsError(
                f"'{metric}' cannot be compared row by row with {against}.",
                where="gate.rules",
                fix=f"Compare {can}, or bound it with at_least or at_most.",
            )
        if known.champion_only and against != "champion":
            raise SettingsError(
                f"nobody attacks {against}, so that '{metric}' compares with the champion alone.",
                where="gate.rules.against",
                fix="Write against: champion, or bound it with at_least.",
            )
        if known.unit == "share" and margin is not None and not -1 <= margin <= 1:
            raise SettingsError(
                f"the margin {margin:g} of '{metric}' is no share.",
                where="gate.rules.margin",
                fix="Write 0.06 for six points.",
            )
        self.less, self.champion_only = known.less, known.champion_only
        self.metric, self.against, self.margin, self.gates = metric, against, margin, gates

    @property
    def label(self) -> str:
        return f"{self.metric} vs {self.against}"

    def ask(self, evidence: Evidence, level: float) -> Asked:
        bound = None if self.margin is None else self._bound(self.margin)
        way: Direction = "<=" if self.less else ">="
        if self.against == "champion" and evidence.champion is None:
            return Asked(None, way, "share", applies=False, why="nothing is in production yet.")
        if self.against == "champion" and evidence.incomparable:
            return Asked(bound, way, "share", why=evidence.incomparable)
        attacked = evidence.versus.get(self.metric)
        if isinstance(attacked, Settled):
            return self._settled(attacked)
        found = attacked if self.champion_only else evidence.of(self.metric)
        asked = None if found is None else self._of(found, level)
        if found is None or asked is None:
            why = evidence.unmeasured.get(
                self.metric, f"this run has no outcomes of {self.against} on the test rows."
            )
            return Asked(bound, way, "share", why=why)
        if self.against != "champion" or evidence.frozen is None:
            return asked
        return self._on_both(asked, found, evidence, level)

    def _of(self, found: Measured, level: float) -> Asked | None:
        """Return the question to what was measured; None where the other model was not asked."""
        if isinstance(found, Errors) and self.against in found.by_row:
            return self._errors(found, level)
        if isinstance(found, Ranked) and self.against in found.scores:
            return self._areas(found, level)
        if not isinstance(found, Rows) or self.against not in found.outcomes:
            return None
        seen = pairs(found.outcomes["student"], found.outcomes[str(self.against)])
        margin = affordable_margin(seen, level) if self.margin is None else self.margin
        return Asked(
            -margin + 0.0, ">=", "share", observed=seen.difference, test=MatchedTest(seen, margin)
        )

    def _on_both(self, asked: Asked, found: Measured, evidence: Evidence, level: float) -> Asked:
        """Ask the champion's own test rows too; where none of them is left nobody can tell."""
        frozen = evidence.frozen
        inside = None if frozen is None or not frozen.any() else restricted(found, frozen)
        before = None if inside is None else self._of(inside, level)
        if before is None:
            why = f"none of the rows that {evidence.champion} was tested on is among those."
            return Asked(asked.bound, asked.direction, asked.unit, why=why)
        return both(asked, before, evidence.champion)

    def _settled(self, found: Settled) -> Asked:
        """Return the question that some of the rows settled: no other rule asks it."""
        test = SettledTest(found)
        observed, bound = test.pairs.difference, self._bound(found.margin)
        return Asked(bound, ">=", "share", observed=observed, test=test, about=test.seen)

    def _bound(self, margin: float) -> float:
        return (margin if self.less else -margin) + 0.0

    def _areas(self, found: Ranked, level: float) -> Asked:
        both = areas(found, str(self.against))
        margin = area_margin(both, level) if self.margin is None else self.margin
        test = AreaDifferenceTest(both, margin, len(found.positive))
        return Asked(-margin + 0.0, ">=", "share", observed=test.difference, test=test)

    def _errors(self, found: Errors, level: float) -> Asked:
        difference = resample_difference(found, str(self.against))
        spread = float(difference.draws.std())
        margin = affordable(spread, level) if self.margin is None else self.margin
        return Asked(
            self._bound(margin),
            "<=",
            found.unit,
            observed=difference.estimate,
            test=DifferenceTest(difference, self._bound(margin), "<="),
        )
