"""Train the student that ships, and beside it the arms of equal budget that say what the teacher
contributed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.architectures.build import parameters
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset, known
from stillhouse.distillation.arms import STUDENT, Arm, arms_of
from stillhouse.distillation.controls import PLAIN
from stillhouse.distillation.ledger import ledger
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.settings import Settings, corners, read
from stillhouse.distillation.settings import check as check_distill
from stillhouse.errors import SettingsError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.gain import two_way
from stillhouse.evaluation.label_points import choose_each, filled
from stillhouse.evaluation.operating import choose
from stillhouse.evaluation.tasks import Classification, Task, task_of
from stillhouse.models.macs import macs
from stillhouse.models.taps import taps_of
from stillhouse.steps import arm as arms
from stillhouse.steps import siblings
from stillhouse.steps.step import Job, Metrics, Progress, Step
from stillhouse.training.fit import Epoch, Fitted, fit
from stillhouse.training.fleet_state import Member

SHIPPED: tuple[Arm, int] = (STUDENT, 0)  # never the best of the seeds
READS = (*arms.READS, "prepare/test.safetensors", "tune/trials.json")
WRITES = (
    "student.safetensors",
    "student.json",
    "plain.safetensors",
    "siblings.safetensors",
    "arms.json",
    "transfer.json",
    "outcomes.safetensors",
    "curves.json",
)


@dataclass(frozen=True)
class Run:
    """One trained model.

    Attributes:
        fitted: Model and curve.
        val: Logits [N val, C].
        test: Logits [N test, C].
        transfer: Of each row that it saw, the sum of its weights and how often it was weighed; None
            where all rows counted alike.
    """

    fitted: Fitted
    val: Tensor
    test: Tensor
    transfer: tuple[Tensor, Tensor] | None = None


Runs = dict[tuple[Arm, int], Run]


def run(job: Job) -> Metrics:
    """Write the shipped student, the plain one beside it where there is one (else no tensor), a
    sibling of each arm for attacks that are led by one, what of the teacher was not transferred,
    and every arm's answers on val and test.

    Returns:
        `val/…` and `test/…` of the shipped student; `receipt/gain_over_<control>` (mean over seeds
        and rows, a share, or the unit of a quantity) for each control; `arms/<arm>/test_accuracy`
        or `…/test_mae` (mean over seeds).

    Raises:
        UsageError: The method needs more than the teacher gives.
        TrainingFailed: A loss is not a number; the rows are named.
    """
    chosen = {
        arm: study["settings"]
        for arm, study in job.files.read_json("tune/trials.json")["studies"].items()
    }
    material, val, test = (
        arms.Material.read(job.files, job.device),
        prepared.load(job.files, "val"),
        prepared.load(job.files, "test"),
    )
    arms.require_access(chosen[STUDENT], material)
    plan = [
        (arm, seed)
        for arm in arms_of(chosen[STUDENT])
        for seed in range(read(chosen[STUDENT]).seeds)
    ]
    folder = job.files.scratch / arms.keyed(arms.key(job.files), chosen)[:16]
    runs: Runs = {}
    for arm, seed in plan:
        began = job.clock.seconds()
        runs[arm, seed] = _trained(
            arms.member(arm, chosen[arm], seed=seed, material=material),
            (val, test),
            choosing=material.val,
            checkpoint=folder / f"{arm}-{seed}.safetensors",
            progress=_inside(job.progress, len(runs), len(plan), f"{arm}, seed {seed}"),
        )
        job.timing[f"fit/{arm}/{seed}/seconds"] = round(job.clock.seconds() - began, 4)
        job.progress(len(runs), len(plan), f"{arm}, seed {seed}")
    settings, shipped = read(chosen[STUDENT]), runs[SHIPPED]
    points = {**operating_point(settings, shipped, val), **label_points(settings, shipped, val)}
    _write(job, runs, chosen, points)
    job.files.write_json("distill/transfer.json", transferred(runs[SHIPPED], chosen, material))
    return {**_scores(runs[SHIPPED], val, test), **_compared(runs, test)}


def _trained(
    ready: tuple[Member, Dataset],
    judged: tuple[Dataset, Dataset],
    *,
    choosing: Dataset,
    checkpoint: Path,
    progress: Progress,
) -> Run:
    """Train, or take up what a killed run of this very step left: half a training goes on, a
    finished one is only read.
    """
    one, rows = ready
    fitted = fit(
        one.model,
        one.objective,
        rows,
        choosing,
        one.settings,
        checkpoint=checkpoint,
        progress=progress,
    )
    val, test = (logits_of(fitted.model, those.inputs) for those in judged)
    told = one.objective.transfer() if isinstance(one.objective, Distillation) else None
    return Run(fitted, val, test, told)


def _inside(progress: Progress, done: int, total: int, who: str) -> Progress:
    """Count epochs as parts of the whole, so that the estimate of the time left moves during a long
    training.
    """

    def told(epoch: int, epochs: int, note: str) -> None:
        progress(done * epochs + epoch, total * epochs, f"{who}: {note}")

    return told


def transferred(
    shipped: Run, chosen: Mapping[str, Mapping[str, Any]], material: arms.Material
) -> Mapping[str, Any] | None:
    """Return what of the teacher the shipped student was not told, and by which selector; None
    where it was told everything.
    """
    if shipped.transfer is None:
        return None
    given, asked = shipped.transfer
    settings = read(chosen[STUDENT])
    learned = material.sharing(settings.synthetic)
    seen, decided = learned.seen, learned.decisions
    told = ledger(
        given,
        asked,
        codes=torch.where(known(seen.targets), seen.targets, decided),
        classes=seen.classes,
        rows=seen.rows,
    )
    return {"selector": dict(settings.selector), **told}


def operating_point(settings: Settings, shipped: Run, val: Dataset) -> dict[str, Any]:
    """Return where the shipped student of two classes says yes, chosen on val alone; nothing of it
    where there are not two.

    Raises:
        DataError: Val has rows of one class only.
    """
    task = task_of(val.schema)
    if not isinstance(task, Classification) or task.positive is None:
        return {}
    told = known(val.targets)
    scores, positive = task.ranked(shipped.val[told], val.targets[told])
    criterion = settings.threshold or "youden"
    point = {
        "positive": val.schema.classes[task.positive],
        "criterion": criterion,
        "threshold": choose(criterion, scores, positive),
    }
    return {"operating_point": point}


def label_points(settings: Settings, shipped: Run, val: Dataset) -> dict[str, Any]:
    """Return from which probability on the shipped student gives each label, chosen on val alone,
    and which labels keep one half since too few val rows have them; nothing of it where rows have
    no several labels, or where no criterion is set.
    """
    names, criterion = val.schema.labels, settings.threshold
    if not names or criterion is None:
        return {}
    chosen = choose_each(criterion, shipped.val, val.targets)
    point = {
        "criterion": criterion,
        "thresholds": list(filled(chosen)),
        "kept": [name for name, own in zip(names, chosen, strict=True) if own is None],
    }
    return {"label_points": point}


def _write(
    job: Job,
    runs: Runs,
    chosen: Mapping[str, Mapping[str, Any]],
    point: Mapping[str, Any],
) -> None:
    files, model, settings = job.files, runs[SHIPPED].fitted.model, read(chosen[STUDENT])
    schema = prepared.schema(files)
    about = {
        "architecture": dict(settings.student),
        "method": dict(settings.method),
        "parameters": parameters(model),
        "macs": macs(model, schema.shape),
        **point,
    }
    files.write_tensors("distill/student.safetensors", model.state_dict())
    beside = runs.get((PLAIN, 0))
    files.write_tensors(
        "distill/plain.safetensors", {} if beside is None else beside.fitted.model.state_dict()
    )
    files.write_tensors("distill/siblings.safetensors", siblings.weights(_models(runs)))
    files.write_json("distill/student.json", {**about, "taps": list(taps_of(model))})
    trained = [_arm(arm, runs, chosen[arm]) for arm in _arms(runs)]
    files.write_json("distill/arms.json", {"arms": trained, "device": str(job.device)})
    answers = {
        f"{arm}/{seed}/{split}_logits": getattr(run, split)
        for (arm, seed), run in runs.items()
        for split in ("val", "test")
    }
    files.write_tensors("distill/outcomes.safetensors", answers)
    curves: dict[Arm, dict[str, Any]] = {arm: {} for arm in _arms(runs)}
    for (arm, seed), run in runs.items():
        curves[arm][str(seed)] = _curve(run.fitted.history, task_of(schema))
    files.write_json("distill/curves.json", curves)


def _models(runs: Runs) -> dict[tuple[Arm, int], nn.Module]:
    return {which: run.fitted.model for which, run in runs.items()}


def _arms(runs: Runs) -> tuple[Arm, ...]:
    return tuple(dict.fromkeys(arm for arm, _ in runs))


def _arm(arm: Arm, runs: Runs, section: Mapping[str, Any]) -> dict[str, Any]:
    mine = {seed: run.fitted.steps for (of, seed), run in runs.items() if of == arm}
    return {
        "name": arm,
        "settings": dict(section),
        "seeds": sorted(mine),
        "steps": max(mine.values()),
    }


def _curve(history: tuple[Epoch, ...], task: Task) -> dict[str, list[float]]:
    """The axis is steps: epochs of arms with fewer rows are shorter."""
    return {
        "loss": [e.loss for e in history],
        f"val_{task.score}": [e.val_score for e in history],
        "step": [e.step for e in history],
    }


def _scores(shipped: Run, val: Dataset, test: Dataset) -> Metrics:
    found: Metrics = {}
    for split, logits, dataset in (("val", shipped.val, val), ("test", shipped.test, test)):
        told = known(dataset.targets)
        scores = task_of(dataset.schema).scores(logits[told], dataset.targets[told])
        found |= {f"{split}/{name}": score for name, score in scores.items()}
    return found


def _compared(runs: Runs, test: Dataset) -> Metrics:
    told, task = known(test.targets), task_of(test.schema)
    merit = {
        arm: torch.stack(
            [
                task.merit(run.test[told], test.targets[told])
                for (of, _), run in runs.items()
                if of == arm
            ]
        )
        for arm in _arms(runs)
    }
    gains = {
        f"receipt/gain_over_{arm}": two_way(merit[STUDENT], merit[arm]).estimate
        for arm in merit
        if arm != STUDENT
    }
    return {
        **gains,
        **{
            f"arms/{arm}/test_{task.measure.key}": task.measure.of_merit(
                float(merit[arm].double().mean())
            )
            for arm in merit
        },
    }


def check(params: Mapping[str, Any]) -> None:
    """Check the section, each search space at both ends."""
    check_distill(params.get("distill"))
    views = (params.get("knowledge") or {}).get("views") or 1
    for corner in corners(params.get("distill") or {}, "distill"):
        wanted = read(corner).synthetic or 0.0
        if isinstance(views, int) and wanted > views - 1:
            raise SettingsError(
                f"{wanted:g} changed rows a row are asked for, and knowledge.views: {views} makes "
                f"{views - 1}.",
                where="distill.synthetic",
                fix=f"Set knowledge.views: {math.ceil(wanted) + 1}.",
            )


step = Step(name="distill", run=run, reads=READS, writes=WRITES, sections=("distill",), check=check)
