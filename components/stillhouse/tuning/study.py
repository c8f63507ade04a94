"""A study: a fixed number of trials, the same ones whether or not it was killed on the way.

Trial n is drawn by a sampler of its own, whose seed is f(study, n), from the trials that were told
before its round; a round is `workers` trials, asked together and told together in the order of
their numbers. So a study is a function of its plan: of `workers` too, because with k workers the
sampler sees k − 1 trials fewer. The values of a trial are written in one line when it is asked, so
that a killed one runs again with the same ones: once. If its process dies a second time, the trial
fails and the study goes on.
"""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import Busy, TrainingFailed
from stillhouse.failpoints import failpoint
from stillhouse.tuning import database, journal
from stillhouse.tuning.objectives import Trial, choose, directions
from stillhouse.tuning.workers import Done, Here, Problem, Workers

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from stillhouse.tuning.database import SharedStudy

Told = Callable[[Trial, float], None]

ATTEMPTS = 2
STARTUP = 5  # random trials before TPE speaks: Optuna's 10 would leave two of a dozen to it


@dataclass(frozen=True)
class Plan:
    """What a study does.

    Attributes:
        name: The arm's name.
        space: What is drawn, by path name; empty means one trial.
        trials: How many, failed ones included.
        workers: How many are asked together.
        objectives: Metrics that a trial returns; the first decides among equals of the Pareto
            front.
        key: A hash of all that its trials depend on; another key is another study.
    """

    name: str
    space: "Mapping[str, BaseDistribution]"
    trials: int
    workers: int
    objectives: tuple[str, ...]
    key: str

    @property
    def budget(self) -> int:
        """How many trials it has: without a space there is nothing to try twice."""
        return self.trials if self.space else 1

    def seed(self, number: int) -> int:
        """Return the sampler's seed for one trial: of the arm and the number alone, so that no
        other code, data or setting draws other values at random.
        """
        return int.from_bytes(
            hashlib.sha256(f"{self.name}/{number}".encode()).digest()[:4], "little"
        )


@dataclass(frozen=True)
class Found:
    """A finished study.

    Attributes:
        trials: All of them, by number.
        best: The one that won.
    """

    trials: tuple[Trial, ...]
    best: Trial


def untold(trial: Trial, seconds: float) -> None:
    """Tell nobody."""


def search(
    plan: Plan,
    problem: Problem,
    folder: Path,
    *,
    workers: Workers | None = None,
    studies: SecretStr | None = None,
    told: Told = untold,
    clock: Clock = SYSTEM,
) -> Found:
    """Run a study to its end, from wherever an earlier run of it was stopped.

    Args:
        plan: What to do.
        problem: Trains once; sent to the workers if there are several.
        folder: Holds the journal; survives a kill.
        workers: Who runs the trials; None means this process. It changes no number: how many are
            asked together is the plan's.
        studies: A PostgreSQL that keeps the study instead of the folder; it changes no number.
        told: Called for every finished trial, those of an earlier run included, with the seconds of
            its round (0 for an earlier run's).
        clock: For those seconds and for workers that fall silent.

    Raises:
        TrainingFailed: Every trial failed; the message is the last one's, with its rows.
        Busy: Another process works on this study.
        SettingsError: An objective is not a metric of a trial.
        ServerUnreachable: The database of `studies` stayed away.
    """
    with _opened(plan, folder, studies, clock) as study:
        run = _Run(plan, study, told, clock)
        run.all_rounds(problem, workers or Here())
        trials = run.trials()
    best = choose(trials, plan.objectives)
    if best is None:
        what = (
            f"all {len(trials)} trials of the arm '{plan.name}' failed; the last one: "
            f"{trials[-1].message}"
        )
        raise TrainingFailed(what, where="tune", fix="Narrow the spaces under distill.")
    return Found(trials, best)


@contextlib.contextmanager
def _opened(
    plan: Plan, folder: Path, studies: SecretStr | None, clock: Clock
) -> "Iterator[Study | SharedStudy]":
    name, ways = f"{plan.name}-{plan.key[:16]}", directions(plan.objectives)
    with journal.held(folder):
        if studies is None:
            yield journal.open_study(folder, name, ways)
            return
        with database.opened(studies, f"{plan.name}-{plan.key}", ways, clock) as study:
            yield study


class _Run:
    """One process's turn at a study."""

    def __init__(self, plan: Plan, study: "Study | SharedStudy", told: Told, clock: Clock) -> None:
        self.plan, self.study, self.told, self.clock = plan, study, told, clock
        self.owner = str(journal.Owner.of(os.getpid()))
        self.sampled = _copy(study)

    def all_rounds(self, problem: Problem, workers: Workers) -> None:
        for first in range(0, self.plan.budget, self.plan.workers):
            numbers = range(first, min(first + self.plan.workers, self.plan.budget))
            began = self.clock.seconds()
            earlier = [number for number in numbers if self._finished(number)]
            for number in numbers:
                self._ask(number)
            try:
                self._round(
                    [number for number in numbers if number not in earlier], problem, workers
                )
            except BaseException:
                self._let_go(numbers)
                raise
            for number in numbers:
                self.told(
                    self._trial(number), 0.0 if number in earlier else self.clock.seconds() - began
                )

    def trials(self) -> tuple[Trial, ...]:
        return tuple(self._trial(number) for number in range(self.plan.budget))

    def _round(self, numbers: Sequence[int], problem: Problem, workers: Workers) -> None:
        answers = {
            number: Done(**self._outcomes[number]) for number in numbers if number in self._outcomes
        }
        while len(answers) < len(numbers):
            open_ones = [number for number in numbers if number not in answers]
            ready = [number for number in open_ones if self._claim(number)]
            answers |= {
                number: Done(None, f"the process that ran it died {ATTEMPTS} times.")
                for number in open_ones
                if number not in ready
            }
            came = workers.run(problem, [self._frozen(number).params for number in ready])
            answers |= {
                number: answer
                for number, answer in zip(ready, came, strict=True)
                if isinstance(answer, Done)
            }
        for number in numbers:
            self._tell(number, answers[number])

    @property
    def _outcomes(self) -> dict[int, dict[str, Any]]:
        """What trials came to, by number: also of those that an earlier run had no time to tell."""
        told = self.study.user_attrs
        return {
            int(name.removeprefix("outcome/")): value
            for name, value in told.items()
            if name.startswith("outcome/")
        }

    def _ask(self, number: int) -> None:
        """Draw trial `number` and write it down whole, in one line, unless an earlier run has."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState, create_trial

        if number < len(self.sampled.trials):
            return
        self.sampled.sampler = TPESampler(seed=self.plan.seed(number), n_startup_trials=STARTUP)
        params = self.sampled.ask(dict(self.plan.space)).params
        failpoint("tuning.before_ask")
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING, params=params, distributions=dict(self.plan.space)
            )
        )
        failpoint("tuning.after_ask")

    def _claim(self, number: int) -> bool:
        """Take a trial over and count the attempt; False if it has had all of them."""
        last = self.study.user_attrs.get(f"attempt/{number}", {"count": 0, "owner": self.owner})
        owner = journal.Owner.parse(last["owner"])
        if (
            owner.pid != os.getpid() and owner.alive
        ):  # one of this process has ended: the folder is ours
            raise Busy(
                f"trial {number} of the arm '{self.plan.name}' is run by process {owner.pid}.",
                where="tune",
                fix="Wait for it, or stop it.",
            )
        if last["count"] >= ATTEMPTS:
            return False
        failpoint("tuning.before_claim")
        self.study.set_user_attr(
            f"attempt/{number}", {"count": last["count"] + 1, "owner": self.owner}
        )
        failpoint("tuning.after_claim")
        return True

    def _let_go(self, numbers: Sequence[int]) -> None:
        """Give back attempts that were stopped in an orderly way (Ctrl-C, an error elsewhere): only
        a death counts.
        """
        for number in numbers:
            last = self.study.user_attrs.get(f"attempt/{number}")
            if last is not None and last["owner"] == self.owner and not self._finished(number):
                self.study.set_user_attr(f"attempt/{number}", {**last, "count": last["count"] - 1})

    def _tell(self, number: int, answer: Done) -> None:
        from optuna.trial import TrialState

        answer = _finite(answer, self.plan.objectives)
        failpoint("tuning.before_tell")
        self.study.set_user_attr(
            f"outcome/{number}", {"values": answer.values, "message": answer.message}
        )
        failpoint("tuning.between_tells")
        for study in (self.study, self.sampled):
            if answer.values is None:
                study.tell(number, state=TrialState.FAIL)
            else:
                study.tell(number, [answer.values[name] for name in self.plan.objectives])
        failpoint("tuning.after_tell")

    def _frozen(self, number: int) -> "FrozenTrial":
        return self.sampled.trials[number]

    def _finished(self, number: int) -> bool:
        return number < len(self.sampled.trials) and self._frozen(number).state.is_finished()

    def _trial(self, number: int) -> Trial:
        outcome = self._outcomes[number]
        return Trial(number, self._frozen(number).params, outcome["values"], outcome["message"])


def _copy(study: "Study | SharedStudy") -> "Study":
    """A study in memory with the same trials: values are drawn there, and written to the journal
    only when a trial has all of them.
    """
    import optuna

    copy = optuna.create_study(directions=study.directions)
    copy.add_trials(study.trials)
    return copy


def _finite(answer: Done, objectives: Sequence[str]) -> Done:
    """An answer that is no number would poison the sampler and JSON alike."""
    if answer.values is None:
        return answer
    odd = [name for name, value in answer.values.items() if not math.isfinite(value)]
    if odd:
        return Done(None, f"{odd[0]} is {answer.values[odd[0]]}, not a finite number.")
    missing = [name for name in objectives if name not in answer.values]
    return Done(None, f"the trial has no {missing[0]}.") if missing else answer
