"""What a run may cost: it stops before the step that would exceed it, and during one that turns out
to.

What a step will take is read from its last run in this workspace; while it runs, from how far it
came. `gate` and `report` are never stopped: they take seconds, and judge what was paid for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stillhouse import config
from stillhouse.config import NonNegative, Positive
from stillhouse.distillation.arms import arms_of
from stillhouse.distillation.settings import Settings
from stillhouse.errors import OverBudget, SettingsError
from stillhouse.workspace import Workspace

if TYPE_CHECKING:
    from stillhouse.steps.step import Progress

KEY = "budget"
FREE = ("gate", "report")
PROBE = 5.0  # seconds of a step before its progress is believed,
TRIALS = 2  # or trials
AFTER_TUNE = ("export", "robustness")


@dataclass(frozen=True)
class Budget:
    """Settings of `budget`, which belongs to no step: changing it makes nothing stale.

    Attributes:
        usd: What the steps of one run may cost, at `report.usd_per_hour`.
        hours: What they may take, hours.
    """

    usd: Positive | None = None
    hours: Positive | None = None


class CutShort(OverBudget):
    """The search does not fit, but a shorter one does.

    Args:
        what: The sentence.
        trials: How many trials of each arm fit, with what comes after them.
    """

    def __init__(self, what: str, *, trials: int, where: str, fix: str) -> None:
        super().__init__(what, where=where, fix=fix)
        self.trials = trials


def seconds(params: Mapping[str, Any]) -> float | None:
    """Return what a run may take, seconds; None where nothing limits it.

    Args:
        params: params.yaml as it was read.

    Raises:
        SettingsError: A limit is not above 0, or in USD while an hour has no price.
    """
    budget = config.build(Budget, params.get(KEY), where=KEY)
    price = config.adapt(
        NonNegative, (params.get("report") or {}).get("usd_per_hour", 0.0), where="report"
    )
    limits = [] if budget.hours is None else [budget.hours * 3600]
    if budget.usd is not None:
        if not price:
            raise SettingsError(
                "an hour has no price, so that nothing costs anything.",
                where="budget.usd",
                fix="Set report.usd_per_hour, or limit budget.hours.",
            )
        limits.append(budget.usd / price * 3600)
    return min(limits, default=None)


@dataclass
class Purse:
    """What one run has spent, and may spend yet.

    Attributes:
        limit: Seconds; None for no limit.
        workspace: Has the clocks of earlier runs.
        params: The resolved settings.
        spent: Seconds of steps that ran in this run.
    """

    limit: float | None
    workspace: Workspace
    params: Mapping[str, Any]
    spent: float = field(default=0.0)

    def before(self, name: str) -> None:
        """Refuse to begin a step that would exceed the budget by what its last run took.

        Raises:
            OverBudget: It would; the message has the sums.
        """
        if self.limit is None or name in FREE:
            return
        if self.spent >= self.limit:
            raise self._over(name, "nothing is left")
        last = self._last(name)
        if name != "tune" and last is not None and self.spent + last > self.limit:
            raise self._over(name, f"it took {told(last)} in its last run here")

    def during(self, name: str, progress: "Progress") -> "Progress":
        """Return a progress that also watches the budget while a step runs.

        It raises OverBudget, or CutShort, out of the step's body: the old results stay.
        """
        if self.limit is None or name in FREE:
            return progress
        clock = self.workspace.clock
        began = clock.seconds()

        def watched(done: int, total: int, note: str) -> None:
            progress(done, total, note)
            if done < total:
                self._project(name, clock.seconds() - began, done, total)

        return watched

    def paid(self, took: float) -> None:
        """Count what a step took, seconds, also one that was stopped."""
        self.spent += took

    def _project(self, name: str, took: float, done: int, total: int) -> None:
        """Stop a step that will not fit, by how far it came."""
        limit = self.limit or 0.0
        believed = done and (took >= PROBE or (name == "tune" and done >= TRIALS))
        whole = took / done * total if believed else took
        rest = self._rest(took / done) if name == "tune" and done else 0.0
        if self.spent + whole + rest <= limit:
            return
        parts = "trials" if name == "tune" else "parts"
        why = f"it would take {told(whole)}, by its first {done} of {total} {parts}"
        if name == "tune" and done:
            self._shorter(why, took, done, total)
        raise self._over(name, why if whole > took else f"it has taken {told(took)} already")

    def _shorter(self, why: str, took: float, done: int, total: int) -> None:
        """Raise CutShort if fewer trials fit, with the training that follows them."""
        each = took / done
        arms = len(arms_of(self.params["distill"]))
        left = (self.limit or 0.0) - self.spent - took - self._rest(each)
        trials = int(left / (each * arms))
        if 1 <= trials < total // arms:
            over = self._over("tune", why)
            raise CutShort(over.what, trials=trials, where=over.where, fix=over.fix)

    def _rest(self, trial: float) -> float:
        """What has to follow the search, seconds: a training as long as a trial for each arm and
        seed, and the steps up to the gate as their last runs took.
        """
        section = self.params["distill"]
        trainings = len(arms_of(section)) * int(section.get("seeds", Settings.seeds))
        return trial * trainings + sum(self._last(name) or 0.0 for name in AFTER_TUNE)

    def _last(self, name: str) -> float | None:
        """What a step took in its last run here, seconds; None if it never ran."""
        path = f"artifacts/{name}/{name}.timing.json"
        if not (self.workspace.root / path).is_file():
            return None
        return float(self.workspace.read_json(path)["seconds"])

    def _over(self, name: str, why: str) -> OverBudget:
        limit = self.limit or 0.0
        return OverBudget(
            f"'{name}' does not fit into the budget: {told(max(limit - self.spent, 0.0))} of "
            f"{told(limit)} are left; {why}.",
            where=KEY,
            fix="What was finished is kept. Raise the budget, or make the work smaller.",
        )


def told(span: float) -> str:
    """Return a time as people say it."""
    if span < 120:
        return f"{span:.1f} s"
    return f"{span / 60:.1f} min" if span < 7200 else f"{span / 3600:.1f} h"
