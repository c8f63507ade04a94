"""Choose the settings of every arm: a study each, equal in trials, judged on val."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse import config, environment, plugins
from stillhouse.architectures.size import sentence, size_of
from stillhouse.config import Count, Natural, Spec
from stillhouse.data import prepared
from stillhouse.distillation.arms import STUDENT, Arm, arms_of, section_of
from stillhouse.distillation.settings import check as check_distill
from stillhouse.distillation.settings import corners, read
from stillhouse.errors import SettingsError, nearest
from stillhouse.evaluation.tasks import Task as Aim
from stillhouse.evaluation.tasks import task_of
from stillhouse.models.device import seat
from stillhouse.steps import arm as arms
from stillhouse.steps import tried
from stillhouse.steps.engines import PACES, Engine, Engines
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.steps.trials import Trials, read_material
from stillhouse.tuning.halving import Halving
from stillhouse.tuning.objectives import Trial, best_first, directions
from stillhouse.tuning.space import distributions, resolve, share_budget
from stillhouse.tuning.study import Found, Plan, search
from stillhouse.tuning.workers import Pool, Task
from stillhouse.workspace import load_tensors

NO_SPACE = "This arm has no search space: one trial with the settings as they stand."


@dataclass(frozen=True)
class Settings:
    """Settings of the step `tune`.

    Attributes:
        trials: Of each arm's study; failed and dropped ones count.
        together: Trials that are asked at once, at least as many as `workers`. It is part of the
            result: trials of one round do not learn from one another. With 4 or more, small
            students are trained several times faster.
        workers: Processes at once; 1 is this one.
        engine: What trains the trials: one after the other (`sequential`; with images also
            `channels_last` and `bf16`), those of a round in one loop (`fleet`), or in `processes`.
            auto tries each for a few steps. It is part of the result, in the last bits.
        halving: `{first: 0.25, keep: 0.25}`: after that share of their steps the trials of a round
            are compared on val, that share of them goes on, and so forth. None: all go to their
            end.
        objectives: Metrics of val or of the model's size; with several, the first decides on the
            Pareto front. None: val/accuracy, val/rmse of a quantity, or val/map of several
            labels a row.
        siblings: Of the student's best trials with different settings, whose models are kept at
            most, for attacks that are led by them (`transfer` with `surrogates: [trials]`).
    """

    trials: Count = 12
    together: Count = 1
    workers: Count = 1
    engine: Engine = "auto"
    halving: Spec | None = None
    objectives: list[str] | None = None
    siblings: Natural = 3


@dataclass(frozen=True)
class Ready:
    """Makes a worker equal to the process that started it: threads, plugins, failpoints, and the
    device, of which each has its own where there are several.
    """

    root: Path
    plugins: tuple[str, ...]
    threads: int
    device: torch.device

    def __call__(self, number: int) -> None:
        environment.prepare(self.root)
        torch.set_num_threads(self.threads)
        plugins.use(self.plugins, self.root)
        seat(self.device, number)


def run(job: Job) -> Metrics:
    """Write `tune/trials.json`: each arm's trials and its chosen settings; and the models of the
    student's best trials.

    Returns:
        `tune/trials` (count, all arms), `tune/failed_trials` (count), with halving
        `tune/pruned_trials` (count), and `tune/best_val_accuracy`
        (or `…_rmse`) of the student.

    Raises:
        SettingsError: A space or an objective does not fit.
        UsageError: The method needs more than the teacher's stored answers.
        TrainingFailed: Every trial of an arm failed.
    """
    task, data = task_of(prepared.schema(job.files)), arms.key(job.files)
    settings = aimed(job.settings(Settings, "tune"), task)
    arms.require_access(job.params.get("distill") or {}, read_material(job.root, data, job.device))
    job.told(_size(job))
    with _pool(job, settings.given) as pool:
        studies, found = _studies(job, settings, data, pool)
    told = {"studies": studies, "device": str(job.device)}
    job.files.write_json("tune/trials.json", told)
    best = studies["student"]["trials"][studies["student"]["best"]]["values"][task.aim]
    pruned = float(sum(t.state == "pruned" for t in found))
    return {
        **({"tune/pruned_trials": pruned} if settings.halving else {}),
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
        given: As set.
        together: Trials a round.
        halving: When trials are dropped; None: never.
        objectives: At least one.
    """

    given: Settings
    together: int
    halving: Halving | None
    objectives: tuple[str, ...]


def aimed(settings: Settings, task: Aim) -> Aimed:
    """Return the settings with the objectives of a task where none are set.

    Raises:
        SettingsError: An objective is none of this task's.
    """
    objectives = tuple(settings.objectives or (task.aim,))
    own = [f"val/{name}" for name in task.scalars]
    for name in objectives:
        if name.startswith("val/") and name not in own:
            raise SettingsError(
                f"this is a {task.words}, which has no '{name}'.",
                where="tune.objectives",
                fix=nearest(name, own),
            )
    together = min(max(settings.together, settings.workers), settings.trials)
    return Aimed(settings, together, _halving(settings), objectives)


def _halving(settings: Settings) -> Halving | None:
    if settings.halving is None:
        return None
    return config.build(Halving, settings.halving, where="tune.halving")


def _pool(job: Job, settings: Settings) -> "contextlib.AbstractContextManager[Pool | None]":
    if settings.workers == 1:
        return contextlib.nullcontext()
    return Pool(
        settings.workers,
        Ready(job.root, tuple(job.params.get("plugins") or ()), job.place.threads, job.device),
        clock=job.clock,
    )


def _studies(
    job: Job, settings: Aimed, data: str, pool: Pool | None
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
        plan = _plan(arm, own, settings, data)
        folder = job.files.scratch / arm / plan.key[:16]
        trials = Trials(job.root, arm, own, data, folder, device=job.device)
        total = len(found) + plan.budget + settings.given.trials * len(arms_left)
        study = _study(job, plan, _Turn(settings, trials, pool, len(found), total))
        if arm == STUDENT:
            tried.write(job.files, _best(study, trials, settings))
        studies[arm] = _told(study, own, settings)
        found.extend(study.trials)
    return studies, found


def _best(
    study: Found, trials: Trials, settings: Aimed
) -> Iterator[tuple[tried.Tried, Mapping[str, Tensor]]]:
    """Yield the models of the best trials that differ in their settings. One that was trained
    elsewhere, in a study that several share, is trained once more.
    """
    seen: list[dict[str, Any]] = []
    for trial in best_first(study.trials, settings.objectives):
        own = resolve(trials.section, trial.params)
        if len(seen) == settings.given.siblings:
            return
        if own in seen:
            continue
        seen.append(own)
        place = trials.weights(trial.number)
        if not place.is_file():
            replace(trials, pace=PACES.get(study.engine, "plain"))(Task(trial.number, trial.params))
        yield (
            tried.Tried(trial.number, read(own).student, dict(trial.values or {})),
            load_tensors(place),
        )


def _plan(arm: Arm, section: Mapping[str, Any], settings: Aimed, data: str) -> Plan:
    given = settings.given
    depends = {
        "arm": arm,
        "section": section,
        "trials": given.trials,
        "together": settings.together,
        "workers": given.workers,
        "engine": given.engine,
        "halving": None if settings.halving is None else asdict(settings.halving),
        "objectives": list(settings.objectives),
    }
    return Plan(
        arm,
        distributions(section),
        given.trials,
        settings.together,
        settings.objectives,
        arms.keyed(data, depends),
        settings.halving,
    )


@dataclass(frozen=True)
class _Turn:
    """One arm's study among the others."""

    settings: Aimed
    trials: Trials
    pool: Pool | None
    before: int
    total: int


def _study(job: Job, plan: Plan, turn: _Turn) -> Found:
    done = turn.before

    def told(trial: Trial, seconds: float) -> None:
        nonlocal done
        done = turn.before + trial.number + 1
        job.timing[f"trial/{plan.name}/{trial.number}/seconds"] = round(seconds, 4)
        job.progress(done, turn.total, _note(plan.name, trial, plan))

    def inside(epoch: int, epochs: int, note: str) -> None:
        """Count how far a round is in trials, so that the time left can be estimated."""
        part = min(plan.together, turn.total - done) * epoch // max(epochs, 1)
        job.progress(done + part, turn.total, f"{plan.name}: {note}")

    crew = Engines(
        turn.settings.given.engine,
        turn.trials,
        plan.together,
        pool=turn.pool,
        clock=job.clock,
        timing=job.timing,
        progress=inside,
    )
    return search(
        plan,
        turn.trials,
        turn.trials.folder,
        crew=crew,
        studies=job.place.studies,
        told=told,
        clock=job.clock,
    )


def _note(arm: Arm, trial: Trial, plan: Plan) -> str:
    if trial.values is None:
        return f"{arm}: trial {trial.number} failed: {trial.message}"
    shown = ", ".join(f"{name} {trial.values[name]:.4g}" for name in plan.objectives)
    if trial.state == "pruned":
        return f"{arm}: trial {trial.number} dropped after {trial.at:.0%} of its steps, {shown}"
    return f"{arm}: trial {trial.number}, {shown}" + ("" if plan.space else f". {NO_SPACE}")


def _told(found: Found, section: Mapping[str, Any], settings: Aimed) -> dict[str, Any]:
    study = {
        "settings": resolve(section, found.best.params),
        "best": found.best.number,
        "trials": [trial.as_dict() for trial in found.trials],
    }
    study |= {"objectives": list(settings.objectives), "engine": found.engine}
    return study if distributions(section) else {**study, "note": NO_SPACE}


def check(params: Mapping[str, Any]) -> None:
    """Check both sections; a search space in `tune` is refused."""
    config.refuse_spaces(params.get("tune"), "tune")
    settings = config.build(Settings, params.get("tune"), where="tune")
    _halving(settings)
    objectives = settings.objectives
    if objectives is not None:
        directions(objectives)
    check_distill(params.get("distill"))
    distributions(params.get("distill") or {})


def fits(params: Mapping[str, Any], task: Aim) -> None:
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
    writes=("trials.json", "siblings.safetensors", "siblings.json"),
    sections=("tune", "distill"),
    check=check,
    fits=fits,
)
