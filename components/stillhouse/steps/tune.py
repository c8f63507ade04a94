"""Choose the settings of every arm: a study each, equal in trials, judged on val."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stillhouse import config, environment, plugins
from stillhouse.architectures.size import sentence, size_of
from stillhouse.config import Count
from stillhouse.data import prepared
from stillhouse.distillation.arms import STUDENT, Arm, arms_of, section_of
from stillhouse.distillation.settings import check as check_distill
from stillhouse.distillation.settings import corners, read
from stillhouse.errors import SettingsError, nearest
from stillhouse.evaluation.tasks import Task, task_of
from stillhouse.steps import arm as arms
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.tuning.objectives import Trial, directions
from stillhouse.tuning.space import distributions, resolve, share_budget
from stillhouse.tuning.study import Found, Plan, search
from stillhouse.tuning.workers import Here, Pool, Workers
from stillhouse.workspace import StepFiles, Workspace

# No seed of `distill`: a seed that helped to choose the settings would look better than the others.
SEED = 1_000_003
NO_SPACE = "This arm has no search space: one trial with the settings as they stand."


@dataclass(frozen=True)
class Settings:
    """Settings of the step `tune`.

    Attributes:
        trials: Of each arm's study; failed ones count.
        workers: Trials at once, in processes of their own if there are several. It is part of the
            result: trials that run together do not learn from one another.
        objectives: Metrics of val or of the model's size; with several, the first decides on the
            Pareto front. None: val/accuracy, or val/rmse of a quantity.
    """

    trials: Count = 12
    workers: Count = 1
    objectives: list[str] | None = None


@dataclass(frozen=True)
class Problem:
    """One arm's trial, wherever it runs.

    Attributes:
        root: The workspace.
        arm: Its name.
        section: `distill` with this arm's spaces.
        key: Of the data: a worker reads them once.
    """

    root: Path
    arm: Arm
    section: Mapping[str, Any]
    key: str

    def __call__(self, params: Mapping[str, Any]) -> dict[str, float]:
        material = _material(self.root, self.key)
        fitted = arms.train(self.arm, resolve(self.section, params), seed=SEED, material=material)
        return arms.measure(fitted.model, material)


@lru_cache(maxsize=1)
def _material(root: Path, key: str) -> arms.Material:  # noqa: ARG001 - the key says whether what was read still holds
    return arms.Material.read(StepFiles(Workspace(root), "tune"))


@dataclass(frozen=True)
class Ready:
    """Makes a worker equal to the process that started it: threads, plugins, failpoints."""

    root: Path
    plugins: tuple[str, ...]
    threads: int

    def __call__(self) -> None:
        import torch

        environment.prepare(self.root)
        torch.set_num_threads(self.threads)
        plugins.use(self.plugins, self.root)


def run(job: Job) -> Metrics:
    """Write `tune/trials.json`: each arm's trials and its chosen settings.

    Returns:
        `tune/trials` (count, all arms), `tune/failed_trials` (count) and `tune/best_val_accuracy`
        (or `…_rmse`) of the student.

    Raises:
        SettingsError: A space or an objective does not fit.
        UsageError: The method needs more than the teacher's stored answers.
        TrainingFailed: Every trial of an arm failed.
    """
    task, data = task_of(prepared.schema(job.files)), arms.key(job.files)
    settings = aimed(job.settings(Settings, "tune"), task)
    arms.require_access(job.params.get("distill") or {}, _material(job.root, data))
    job.told(_size(job))
    with _workers(job, settings) as workers:
        studies, found = _studies(job, settings, data, workers)
    job.files.write_json("tune/trials.json", {"studies": studies})
    best = studies["student"]["trials"][studies["student"]["best"]]["values"][task.aim]
    return {
        "tune/trials": float(len(found)),
        "tune/failed_trials": float(sum(t.values is None for t in found)),
        f"tune/best_{task.aim.replace('/', '_')}": best,
    }


def _size(job: Job) -> str:
    """How large the student will be, told before it is trained."""
    schema = prepared.schema(job.files)
    students = [read(each).student for each in corners(job.params.get("distill") or {}, "distill")]
    about = job.files.read_json("teacher/teacher.json")
    return sentence(
        [size_of(spec, schema, "distill.student") for spec in students], about["parameters"]
    )


@dataclass(frozen=True)
class Aimed:
    """The settings, with objectives that this task has.

    Attributes:
        trials: As set.
        workers: As set.
        objectives: At least one.
    """

    trials: int
    workers: int
    objectives: tuple[str, ...]


def aimed(settings: Settings, task: Task) -> Aimed:
    """Return the settings with the objectives of a task where none are set.

    Raises:
        SettingsError: An objective is none of this task's.
    """
    objectives = tuple(settings.objectives or (task.aim,))
    own = [f"val/{name}" for name in task.scalars]
    for name in objectives:
        if name.startswith("val/") and name not in own:
            raise SettingsError(
                f"this is a {task.name}, which has no '{name}'.",
                where="tune.objectives",
                fix=nearest(name, own),
            )
    return Aimed(settings.trials, settings.workers, objectives)


def _workers(job: Job, settings: Aimed) -> "contextlib.AbstractContextManager[Workers]":
    if settings.workers == 1:
        return contextlib.nullcontext(Here())
    return Pool(
        settings.workers,
        Ready(job.root, tuple(job.params.get("plugins") or ()), job.place.threads),
        clock=job.clock,
    )


def _studies(
    job: Job, settings: Aimed, data: str, workers: Workers
) -> tuple[dict[str, dict[str, Any]], list[Trial]]:
    section = job.params.get("distill") or {}
    studies: dict[str, dict[str, Any]] = {}
    found: list[Trial] = []
    arms_left = list(arms_of(section))
    for arm in arms_of(section):
        own = section_of(arm, section)
        if studies:
            own = share_budget(own, studies[STUDENT]["settings"])
        arms_left.remove(arm)
        study = _study(
            job,
            settings,
            Problem(job.root, arm, own, data),
            workers,
            before=len(found),
            after=len(arms_left),
        )
        studies[arm] = _told(study, own, settings)
        found.extend(study.trials)
    return studies, found


def _study(
    job: Job, settings: Aimed, problem: Problem, workers: Workers, *, before: int, after: int
) -> Found:
    arm, space = problem.arm, distributions(problem.section)
    depends = {
        "arm": arm,
        "section": problem.section,
        "trials": settings.trials,
        "workers": settings.workers,
        "objectives": list(settings.objectives),
    }
    plan = Plan(
        arm,
        space,
        settings.trials,
        settings.workers,
        settings.objectives,
        arms.keyed(problem.key, depends),
    )
    total = before + plan.budget + settings.trials * after

    def told(trial: Trial, seconds: float) -> None:
        job.timing[f"trial/{arm}/{trial.number}/seconds"] = round(seconds, 4)
        job.progress(before + trial.number + 1, total, _note(arm, trial, plan))

    return search(
        plan,
        problem,
        job.files.scratch / arm / plan.key[:16],
        workers=workers,
        studies=job.place.studies,
        told=told,
        clock=job.clock,
    )


def _note(arm: Arm, trial: Trial, plan: Plan) -> str:
    if trial.values is None:
        return f"{arm}: trial {trial.number} failed: {trial.message}"
    shown = ", ".join(f"{name} {trial.values[name]:.4g}" for name in plan.objectives)
    return f"{arm}: trial {trial.number}, {shown}" + ("" if plan.space else f". {NO_SPACE}")


def _told(found: Found, section: Mapping[str, Any], settings: Aimed) -> dict[str, Any]:
    study = {
        "settings": resolve(section, found.best.params),
        "best": found.best.number,
        "trials": [trial.as_dict() for trial in found.trials],
    }
    study["objectives"] = list(settings.objectives)
    return study if distributions(section) else {**study, "note": NO_SPACE}


def check(params: Mapping[str, Any]) -> None:
    """Check both sections; a search space in `tune` is refused."""
    config.refuse_spaces(params.get("tune"), "tune")
    objectives = config.build(Settings, params.get("tune"), where="tune").objectives
    if objectives is not None:
        directions(objectives)
    check_distill(params.get("distill"))
    distributions(params.get("distill") or {})


def fits(params: Mapping[str, Any], task: Task) -> None:
    """Refuse objectives, a method or a selector that mean nothing where this is predicted.

    Raises:
        SettingsError: An objective is none of this task's.
        UsageError: The method or the selector is for another task.
    """
    aimed(config.build(Settings, params.get("tune"), where="tune"), task)
    arms.require_task(params.get("distill") or {}, task)


step = Step(
    name="tune",
    run=run,
    reads=arms.READS,
    writes=("trials.json",),
    sections=("tune", "distill"),
    check=check,
    fits=fits,
)
