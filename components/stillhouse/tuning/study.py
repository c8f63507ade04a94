"""A study: a fixed number of trials, the same ones whether or not it was killed on the way.

Trial n is drawn by a sampler of its own, whose seed is f(study, n), from the trials that were told
before its round; a round is `together` trials, asked together and told together in the order of
their numbers. So a study is a function of its plan: of `together` too, because in a round of k the
sampler sees k − 1 trials fewer. With halving, the trials of a round are compared on the way and
most are dropped; who goes on is written down before anybody does.

The values of a trial are written in one line when it is asked, so that a killed one runs again with
the same ones. If its process dies too often (a second time, where trials run one by one), the trial
fails and the study goes on.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import TrainingFailed
from stillhouse.tuning import database, journal
from stillhouse.tuning.objectives import Trial, choose, directions
from stillhouse.tuning.plan import Crew, Found, Only, Plan
from stillhouse.tuning.rounds import Rounds, Told
from stillhouse.tuning.workers import Here, Problem

if TYPE_CHECKING:
    from optuna import Study

    from stillhouse.tuning.database import SharedStudy

__all__ = ["Found", "Plan", "search", "untold"]


def untold(trial: Trial, seconds: float) -> None:
    """Tell nobody."""


def search(
    plan: Plan,
    problem: Problem,
    folder: Path,
    *,
    crew: Crew | None = None,
    studies: SecretStr | None = None,
    told: Told = untold,
    clock: Clock = SYSTEM,
) -> Found:
    """Run a study to its end, from wherever an earlier run of it was stopped.

    Args:
        plan: What to do.
        problem: Trains once; sent to the workers if there are several.
        folder: Holds the journal; survives a kill.
        crew: Who runs the trials; None means this process, one after the other. How many are asked
            together is the plan's; which engine was chosen is written into the study.
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
        run = Rounds(plan, study, told, clock)
        mine = crew or Only(Here())
        engine = run.engine(mine)
        workers, problem = mine.hire(engine, problem)
        run.all_rounds(problem, workers)
        trials = run.trials()
    best = choose(trials, plan.objectives)
    if best is None:
        what = (
            f"all {len(trials)} trials of the arm '{plan.name}' failed; the last one: "
            f"{trials[-1].message}"
        )
        raise TrainingFailed(what, where="tune", fix="Narrow the spaces under distill.")
    return Found(trials, best, engine)


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
