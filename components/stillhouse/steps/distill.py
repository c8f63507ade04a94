"""Train the student that ships, and beside it the arms of equal budget that say what the teacher
contributed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.architectures.build import parameters
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.distillation.arms import STUDENT, Arm, arms_of
from stillhouse.distillation.settings import check as check_distill
from stillhouse.distillation.settings import read
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import SCALARS, logits_of
from stillhouse.evaluation.gain import two_way
from stillhouse.models.macs import macs
from stillhouse.models.taps import taps_of
from stillhouse.steps import arm as arms
from stillhouse.steps.step import Job, Metrics, Progress, Step
from stillhouse.training.fit import Epoch, Fitted
from stillhouse.workspace import StepFiles

SHIPPED: tuple[Arm, int] = (STUDENT, 0)  # never the best of the seeds
READS = (*arms.READS, "prepare/test.safetensors", "tune/trials.json")
WRITES = ("student.safetensors", "student.json", "arms.json", "outcomes.safetensors", "curves.json")


@dataclass(frozen=True)
class Run:
    """One trained model.

    Attributes:
        fitted: Model and curve.
        val: Logits [N val, C].
        test: Logits [N test, C].
    """

    fitted: Fitted
    val: Tensor
    test: Tensor


Runs = dict[tuple[Arm, int], Run]


def run(job: Job) -> Metrics:
    """Write the shipped student, and every arm's answers on val and test.

    Returns:
        `val/…` and `test/…` of the shipped student; `receipt/gain_over_<control>` (mean over seeds
        and rows, a share) for each control; `arms/<arm>/test_accuracy` (mean over seeds).

    Raises:
        UsageError: The method needs more than the teacher gives.
        TrainingFailed: A loss is not a number; the rows are named.
    """
    chosen = {
        arm: study["settings"]
        for arm, study in job.files.read_json("tune/trials.json")["studies"].items()
    }
    material, val, test = (
        arms.Material.read(job.files),
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
        fitted = _train(
            arm,
            chosen[arm],
            seed,
            material,
            folder=folder,
            progress=_inside(job.progress, len(runs), len(plan), f"{arm}, seed {seed}"),
        )
        runs[arm, seed] = Run(
            fitted, logits_of(fitted.model, val.inputs), logits_of(fitted.model, test.inputs)
        )
        job.timing[f"fit/{arm}/{seed}/seconds"] = round(job.clock.seconds() - began, 4)
        job.progress(len(runs), len(plan), f"{arm}, seed {seed}")
    _write(job.files, runs, chosen)
    return {**_scores(runs[SHIPPED], val, test), **_compared(runs, test)}


def _train(
    arm: Arm,
    section: Mapping[str, Any],
    seed: int,
    material: arms.Material,
    *,
    folder: Path,
    progress: Progress,
) -> Fitted:
    """Train, or take up what a killed run of this very step left: half a training goes on, a
    finished one is only read.
    """
    return arms.train(
        arm,
        section,
        seed=seed,
        material=material,
        checkpoint=folder / f"{arm}-{seed}.safetensors",
        progress=progress,
    )


def _inside(progress: Progress, done: int, total: int, who: str) -> Progress:
    """Count epochs as parts of the whole, so that the estimate of the time left moves during a long
    training.
    """

    def told(epoch: int, epochs: int, note: str) -> None:
        progress(done * epochs + epoch, total * epochs, f"{who}: {note}")

    return told


def _write(files: StepFiles, runs: Runs, chosen: Mapping[str, Mapping[str, Any]]) -> None:
    model, settings = runs[SHIPPED].fitted.model, read(chosen[STUDENT])
    shape = tuple(prepared.schema(files).shape)
    about = {
        "architecture": dict(settings.student),
        "method": dict(settings.method),
        "parameters": parameters(model),
        "macs": macs(model, shape),
    }
    files.write_tensors("distill/student.safetensors", model.state_dict())
    files.write_json("distill/student.json", {**about, "taps": list(taps_of(model))})
    files.write_json(
        "distill/arms.json", {"arms": [_arm(arm, runs, chosen[arm]) for arm in _arms(runs)]}
    )
    answers = {
        f"{arm}/{seed}/{split}_logits": getattr(run, split)
        for (arm, seed), run in runs.items()
        for split in ("val", "test")
    }
    files.write_tensors("distill/outcomes.safetensors", answers)
    curves: dict[Arm, dict[str, Any]] = {arm: {} for arm in _arms(runs)}
    for (arm, seed), run in runs.items():
        curves[arm][str(seed)] = _curve(run.fitted.history)
    files.write_json("distill/curves.json", curves)


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


def _curve(history: tuple[Epoch, ...]) -> dict[str, list[float]]:
    """The axis is steps: epochs of arms with fewer rows are shorter."""
    return {
        "loss": [e.loss for e in history],
        "val_accuracy": [e.val_accuracy for e in history],
        "step": [e.step for e in history],
    }


def _scores(shipped: Run, val: Dataset, test: Dataset) -> Metrics:
    found: Metrics = {}
    for split, logits, dataset in (("val", shipped.val, val), ("test", shipped.test, test)):
        known = dataset.targets >= 0
        found |= {
            f"{split}/{name}": float(getattr(metrics, name)(logits[known], dataset.targets[known]))
            for name in SCALARS
        }
    return found


def _compared(runs: Runs, test: Dataset) -> Metrics:
    known = test.targets >= 0
    right = {
        arm: torch.stack(
            [
                metrics.correct(run.test[known], test.targets[known])
                for (of, _), run in runs.items()
                if of == arm
            ]
        )
        for arm in _arms(runs)
    }
    gains = {
        f"receipt/gain_over_{arm}": two_way(right[STUDENT], right[arm]).estimate
        for arm in right
        if arm != STUDENT
    }
    return {
        **gains,
        **{f"arms/{arm}/test_accuracy": float(right[arm].double().mean()) for arm in right},
    }


def check(params: Mapping[str, Any]) -> None:
    """Check the section, each search space at both ends."""
    check_distill(params.get("distill"))


step = Step(name="distill", run=run, reads=READS, writes=WRITES, sections=("distill",), check=check)
