"""From minutes to trials and epochs: how fast this machine trains this student, and how fast the
teacher answers, measured for a moment.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from stillhouse import config
from stillhouse.architectures.build import build_classifier
from stillhouse.clock import Clock
from stillhouse.data.dataset import Dataset
from stillhouse.data.splits import Split
from stillhouse.environment import HIDDEN
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import task_of
from stillhouse.models.normalize import Normalize
from stillhouse.steps.prepare import Prepared, divide
from stillhouse.teachers.ask import ask
from stillhouse.teachers.recall import KEPT
from stillhouse.teachers.teacher import Lesson, Teacher
from stillhouse.training.fit import fit, silent
from stillhouse.training.objective import Labels
from stillhouse.training.settings import FitSettings
from stillhouse_flows.intake.params_text import TRAINED
from stillhouse_flows.intake.plan import SEEDS, TEACHER_SECONDS, Plan, rounded

FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")
PLANNED = 0.6  # of the budget; the rest is for a machine that has other work too
BESIDE = 25.0  # s: servers, validation, export, attacks and receipt of a small student
TRAINING = 0.2  # s around a training: its trial told, its answers to val and test
TAUGHT = 1.5  # times a step of labels alone takes a step that a teacher's answers enter
ARMS = 3  # the student and its two default controls
TRIALS = (24, 16, 12, 8, 6, 4)
ENOUGH = 60  # epochs that a trial should have before there are more trials
LEAST = 6
TIMED, TIMED_STEPS = 4, 20
TIMED_ROWS, PAID_ROWS = 64, 4


def seconds_of(text: str) -> float:
    """Return a span in seconds.

    Args:
        text: `90s`, `10m`, `2h` or `1h30m`.

    Raises:
        UsageError: It is no span, or none above 0.
    """
    found = FORM.fullmatch(text.strip().lower())
    parts = [float(part or 0) for part in found.groups()] if found and text.strip() else [0.0] * 3
    total = parts[0] * 3600 + parts[1] * 60 + parts[2]
    if not total:
        raise UsageError(
            f"'{text}' is no time.", where="--budget", fix="Write 90s, 10m, 2h or 1h30m."
        )
    return total


@dataclass(frozen=True)
class Pace:
    """How fast things go here.

    Attributes:
        epoch: Seconds of one epoch of the student.
        teacher: Seconds until the teacher has answered every row.
    """

    epoch: float
    teacher: float


def sized(plan: Plan, pace: Pace, seconds: float) -> Plan:
    """Return a plan whose trials and epochs fit into a budget.

    Trials come first where each has enough epochs; what is left lengthens all trainings.

    Args:
        plan: Settings that fit the data.
        pace: Measured.
        seconds: The budget.

    Raises:
        UsageError: Not even a short study fits; the message says what would.
    """
    room = PLANNED * seconds - BESIDE - pace.teacher
    epoch = TAUGHT * pace.epoch
    epochs = {
        trials: (room / _trainings(trials, plan.search) - TRAINING) / epoch for trials in TRIALS
    }
    if epochs[TRIALS[-1]] < LEAST:
        shortest = _trainings(TRIALS[-1], plan.search) * (LEAST * epoch + TRAINING)
        least = shortest + BESIDE + pace.teacher
        raise UsageError(
            f"{seconds:.0f} s are too short: the teacher's answers take about {pace.teacher:.0f} "
            f"s, an epoch of this student {pace.epoch:.2g} s.",
            where="--budget",
            fix=f"Give it {math.ceil(least / PLANNED / 60)}m or more, or name a smaller student.",
        )
    trials = next((each for each in TRIALS if epochs[each] >= ENOUGH), TRIALS[-1])
    return replace(
        plan, trials=trials, epochs=rounded(epochs[trials]), hours=math.ceil(seconds) / 3600
    )


def _trainings(trials: int, search: bool) -> int:
    """Return how many trainings a run has: every arm's study, then every arm from every seed."""
    return (ARMS * trials if search else trials + ARMS - 1) + ARMS * SEEDS


def measure(plan: Plan, dataset: Dataset, root: Path, clock: Clock) -> Pace:
    """Return how fast the student learns and the teacher answers, after asking it about a few val
    rows, which also shows at once whether it knows such rows at all.

    Errors as the teacher's own `learn` and `ask`.
    """
    ready = divide(dataset, Split(**plan.split), labelled=plan.labelled, unlabelled=plan.unlabelled)
    asked = len(ready.pick.labelled) + len(ready.pick.unlabelled)
    steps = math.ceil(asked / plan.batch)
    rows = asked + len(ready.val) + len(ready.test)
    return Pace(
        steps * _step(plan, ready.train.labelled, ready.val.labelled, clock),
        _teacher(plan.teacher, ready, rows, root, clock),
    )


def _step(plan: Plan, train: Dataset, val: Dataset, clock: Clock) -> float:
    """Return the seconds of an optimiser step: the shortest of a few short trainings, since other
    work on the machine only lengthens them.
    """
    few = train.take(torch.arange(min(len(train), plan.batch)))
    some = val.take(torch.arange(min(len(val), plan.batch)))
    settings = FitSettings(epochs=TIMED_STEPS, batch=plan.batch, optimizer={"name": "adamw"})
    normalize, took = Normalize.fit(few.inputs, few.schema), []
    for _ in range(TIMED):
        model = build_classifier(plan.student.spec, few.schema, normalize, 0, "--student")
        began = clock.seconds()
        fit(model, Labels(task_of(few.schema)), few, some, settings)
        took.append(clock.seconds() - began)
    return min(took) / TIMED_STEPS


def _teacher(
    spec: Mapping[str, Any], ready: Prepared, rows: int, root: Path, clock: Clock
) -> float:
    if spec["name"] in TRAINED:
        return TEACHER_SECONDS
    teacher: Teacher = config.plugin("teachers", spec, where="teacher")
    scratch = root / HIDDEN / "work" / "probe"
    lesson = Lesson(ready.train, ready.val, root, scratch, 0, silent)
    oracle = teacher.recall(teacher.learn(lesson), ready.train.schema)
    oracle.keep_in(root / HIDDEN / KEPT)
    count = min(PAID_ROWS if oracle.usd_per_row else TIMED_ROWS, len(ready.val))
    few = ready.val.take(torch.arange(count))
    if not oracle.usd_per_row:
        ask(oracle, few, where="teacher, timed on val")  # warm
    began = clock.seconds()
    ask(oracle, few, where="teacher, timed on val")
    return (clock.seconds() - began) / count * rows
