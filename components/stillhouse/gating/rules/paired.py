"""A comparison on the same rows: `{metric: test/accuracy, against: teacher, margin: 0.06}`."""

from typing import Annotated, Literal

from annotated_types import Interval

from stillhouse.errors import SettingsError
from stillhouse.evaluation.paired import pairs
from stillhouse.gating import metrics
from stillhouse.gating.evidence import Evidence, Rows
from stillhouse.gating.matched import MatchedTest, affordable_margin
from stillhouse.gating.rule import Asked, Rule

Margin = Annotated[float, Interval(ge=-1, le=1)]


class Paired(Rule):
    """Passes where the student is not worse than another model by more than the margin: the lower
    bound of (student − other) is above −margin.

    Args:
        metric: Right or wrong by row for both models.
        against: The teacher, the champion in production, or a control arm (seed 0 with seed 0).
        margin: As a share: 0.06 is six points. 0 demands that the student is better, a negative
            margin by how much. Left out: the smallest at which an equal student passes in at least
            80 % of such test sets.
        gates: False: only watched.

    Raises:
        SettingsError: The metric has no outcome by row for two models.
    """

    def __init__(
        self,
        *,
        metric: str,
        against: Literal["teacher", "champion", "none", "hard"],
        margin: Margin | None = None,
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
        self.metric, self.against, self.margin, self.gates = metric, against, margin, gates

    @property
    def label(self) -> str:
        return f"{self.metric} vs {self.against}"

    def ask(self, evidence: Evidence, level: float) -> Asked:
        bound = None if self.margin is None else -self.margin + 0.0
        if self.against == "champion" and evidence.champion is None:
            return Asked(None, ">=", "share", applies=False, why="nothing is in production yet.")
        if self.against == "champion" and evidence.incomparable:
            return Asked(bound, ">=", "share", why=evidence.incomparable)
        found = evidence.of(self.metric)
        if not isinstance(found, Rows) or self.against not in found.outcomes:
            return Asked(
                bound,
                ">=",
                "share",
                why=f"this run has no outcomes of {self.against} on the test rows.",
            )
        seen = pairs(found.outcomes["student"], found.outcomes[str(self.against)])
        margin = affordable_margin(seen, level) if self.margin is None else self.margin
        return Asked(
            -margin + 0.0, ">=", "share", observed=seen.difference, test=MatchedTest(seen, margin)
        )
