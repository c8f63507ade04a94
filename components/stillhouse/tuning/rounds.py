"""One process's turn at a study: round after round of trials, asked, trained, compared and told."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stillhouse.clock import Clock
from stillhouse.errors import Busy
from stillhouse.failpoints import failpoint
from stillhouse.tuning import journal
from stillhouse.tuning.objectives import Trial
from stillhouse.tuning.plan import Crew, Plan
from stillhouse.tuning.workers import Done, Problem, Task, Workers

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from stillhouse.tuning.database import SharedStudy

Told = Callable[[Trial, float], None]
STARTUP = 5  # random trials before TPE speaks: Optuna's 10 would leave two of a dozen to it


class Rounds:
    """A study that is held, and what this process knows of it."""

    def __init__(self, plan: Plan, study: "Study | SharedStudy", told: Told, clock: Clock) -> None:
        self.plan, self.study, self.told, self.clock = plan, study, told, clock
        self.owner = str(journal.Owner.of(os.getpid()))
        self.sampled = _copy(study)

    def engine(self, crew: Crew) -> str:
        """Return the study's engine; the first process that comes to it has it chosen."""
        known = self.study.user_attrs.get("engine")
        if known is None:
            known = crew.choose()
            failpoint("tuning.before_engine")
            self.study.set_user_attr("engine", known)
            failpoint("tuning.after_engine")
        return str(known)

    def all_rounds(self, problem: Problem, workers: Workers) -> None:
        for first in range(0, self.plan.budget, self.plan.together):
            numbers = range(first, min(first + self.plan.together, self.plan.budget))
            began = self.clock.seconds()
            earlier = [number for number in numbers if self._finished(number)]
            for number in numbers:
                self._ask(number)
            left = [number for number in numbers if number not in earlier]
            try:
                self._round(first, left, problem=problem, workers=workers)
            except BaseException:
                self._let_go(numbers)
                raise
            for trial in self._trials(numbers):
                new = trial.number not in earlier
                self.told(trial, self.clock.seconds() - began if new else 0.0)

    def trials(self) -> tuple[Trial, ...]:
        return tuple(self._trials(range(self.plan.budget)))

    def _round(
        self, first: int, numbers: Sequence[int], *, problem: Problem, workers: Workers
    ) -> None:
        """Train and tell those trials of the round from `first` that no earlier run has told."""
        came = self._outcomes
        answers = {number: Done(**came[number]) for number in numbers if number in came}
        for share in self.plan.halving.rungs if self.plan.halving else ():
            name = f"rung/{first}/{share:.6f}"
            racing = [number for number in numbers if number not in answers]
            if len(racing) > 1 and name not in self.study.user_attrs:
                self._race(name, self._trained(racing, share, problem, workers))
            answers |= self._dropped(name, share, racing)
        left = [number for number in numbers if number not in answers]
        answers |= self._trained(left, 1.0, problem, workers)
        for number in numbers:
            self._tell(number, answers[number])

    def _race(self, name: str, came: Mapping[int, Done]) -> None:
        """Write down in one line what all trials of a round have come to on the way."""
        told = {str(n): {"values": d.values, "message": d.message} for n, d in came.items()}
        failpoint("tuning.before_rung")
        self.study.set_user_attr(name, told)
        failpoint("tuning.after_rung")

    def _dropped(self, name: str, share: float, racing: Sequence[int]) -> dict[int, Done]:
        """Return those that failed on the way or go on no further; a process that comes later lets
        the same ones go on.
        """
        told = self.study.user_attrs.get(name, {})
        came = {int(number): Done(**answer, at=share) for number, answer in told.items()}
        reached = {number: done.values for number, done in came.items() if done.values is not None}
        on = self.plan.halving.survivors(reached, self.plan.objectives) if self.plan.halving else []
        return {n: done for n, done in came.items() if n in racing and n not in on}

    def _trained(
        self, numbers: Sequence[int], until: float, problem: Problem, workers: Workers
    ) -> dict[int, Done]:
        """Return what trials come to, tried again where a process died."""
        answers: dict[int, Done] = {}
        while len(answers) < len(numbers):
            open_ones = [number for number in numbers if number not in answers]
            ready = [number for number in open_ones if self._claim(number, until, workers.attempts)]
            answers |= {
                number: Done(None, f"the process that ran it died {workers.attempts} times.")
                for number in open_ones
                if number not in ready
            }
            tasks = [Task(number, self._frozen(number).params, until) for number in ready]
            came = workers.run(problem, tasks)
            answers |= {
                number: _finite(answer, self.plan.objectives)
                for number, answer in zip(ready, came, strict=True)
                if isinstance(answer, Done)
            }
        return answers

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

        if number < len(self._held):
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

    def _claim(self, number: int, until: float, attempts: int) -> bool:
        """Take a trial over and count the attempt at this stretch of it; False if it has had all
        of them.
        """
        name = f"attempt/{number}" if until == 1 else f"attempt/{number}/{until:.6f}"
        last = self.study.user_attrs.get(name, {"count": 0, "owner": self.owner})
        owner = journal.Owner.parse(last["owner"])
        if (
            owner.pid != os.getpid() and owner.alive
        ):  # one of this process has ended: the folder is ours
            raise Busy(
                f"trial {number} of the arm '{self.plan.name}' is run by process {owner.pid}.",
                where="tune",
                fix="Wait for it, or stop it.",
            )
        if last["count"] >= attempts:
            return False
        failpoint("tuning.before_claim")
        self.study.set_user_attr(name, {"count": last["count"] + 1, "owner": self.owner})
        failpoint("tuning.after_claim")
        return True

    def _let_go(self, numbers: Sequence[int]) -> None:
        """Give back attempts that were stopped in an orderly way (Ctrl-C, an error elsewhere): only
        a death counts.
        """
        for name, last in self.study.user_attrs.items():
            word, _, whose = name.partition("/")
            if word != "attempt" or last["owner"] != self.owner:
                continue
            number = int(whose.partition("/")[0])
            if number in numbers and not self._finished(number):
                self.study.set_user_attr(name, {**last, "count": last["count"] - 1})

    def _tell(self, number: int, answer: Done) -> None:
        outcome = {"values": answer.values, "message": answer.message, "at": answer.at}
        failpoint("tuning.before_tell")
        self.study.set_user_attr(f"outcome/{number}", outcome)
        failpoint("tuning.between_tells")
        for study in (self.study, self.sampled):
            self._finish(study, number, answer)
        failpoint("tuning.after_tell")

    def _finish(self, study: "Study | SharedStudy", number: int, answer: Done) -> None:
        from optuna.trial import TrialState

        if answer.values is None:
            study.tell(number, state=TrialState.FAIL)
        elif answer.at < 1:
            study.tell(number, state=TrialState.PRUNED)
        else:
            study.tell(number, [answer.values[name] for name in self.plan.objectives])

    def _frozen(self, number: int) -> "FrozenTrial":
        return self._held[number]

    @property
    def _held(self) -> "list[FrozenTrial]":
        """Those asked so far, to look at: Optuna's `trials` would copy all of them each time."""
        return self.sampled.get_trials(deepcopy=False)

    def _finished(self, number: int) -> bool:
        return number < len(self._held) and self._frozen(number).state.is_finished()

    def _trials(self, numbers: Iterable[int]) -> Iterator[Trial]:
        outcomes, held = self._outcomes, self._held
        for number in numbers:
            came = outcomes[number]
            at = came.get("at", 1.0)
            yield Trial(number, held[number].params, came["values"], came["message"], at)


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
