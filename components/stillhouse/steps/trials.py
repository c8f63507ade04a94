"""A trial of an arm's study: trained by itself, or with the others of its round in one loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.arms import STUDENT, Arm
from stillhouse.errors import TrainingFailed
from stillhouse.models.device import CPU
from stillhouse.models.normalize import Normalize
from stillhouse.steps import arm as arms
from stillhouse.steps.step import Progress, silent
from stillhouse.training.fit import Fitted, fit
from stillhouse.training.fleet import Member, fit_together, kind_of
from stillhouse.training.pace import Pace
from stillhouse.tuning.space import resolve
from stillhouse.tuning.workers import Done, Task, attempt
from stillhouse.workspace import StepFiles, Workspace, dump_tensors, write_atomic

# No seed of `distill`: a seed that helped to choose the settings would look better than the others.
SEED = 1_000_003


@lru_cache(maxsize=1)
def read_material(
    root: Path,
    key: str,  # noqa: ARG001 - the key says whether what was read still holds
    device: torch.device = CPU,
) -> arms.Material:
    """Return what the arms of a workspace learn from on a device, read once a process."""
    return arms.Material.read(StepFiles(Workspace(root), "tune"), device)


@dataclass(frozen=True)
class Trials:
    """The trials of one arm, wherever they run.

    Attributes:
        root: The workspace.
        arm: Its name.
        section: `distill` with this arm's spaces.
        key: Of the data: a worker reads them once.
        folder: Where trainings in progress are kept.
        pace: How a model is laid out that is trained by itself.
        progress: Called with (epochs done, all epochs, a note) while several are in one loop.
        seed: Of weights, orders and whatever a net draws.
        source: Reads what is learned from, once a process.
        device: Where they are trained.
    """

    root: Path
    arm: Arm
    section: Mapping[str, Any]
    key: str
    folder: Path
    pace: Pace = "plain"
    progress: Progress = silent
    seed: int = SEED
    source: Callable[[Path, str, torch.device], arms.Material] = read_material
    device: torch.device = CPU

    @property
    def material(self) -> arms.Material:
        """What is learned from."""
        return self.source(self.root, self.key, self.device)

    def __call__(self, task: Task) -> dict[str, float]:
        """Train one trial as far as it is asked for, and return what it came to."""
        material = self.material
        own, rows = self.member(task.params, material)
        fitted = fit(
            own.model,
            own.objective,
            rows,
            watched(own, material),
            own.settings,
            checkpoint=self.folder / f"trial-{task.number}.safetensors",
            until=task.until,
            pace=self.pace,
        )
        self._keep(task, fitted.model)
        return arms.measure(fitted.model, material)

    def weights(self, number: int) -> Path:
        """Return where the weights of a trial lie that was trained here to its end."""
        return self.folder / f"weights-{number}.safetensors"

    def _keep(self, task: Task, model: nn.Module) -> None:
        """Keep the model of a whole training before anybody is told what it came to, so that a
        trial that was told is there. Of the controls' trials nobody asks.
        """
        if self.arm == STUDENT and task.until == 1:
            write_atomic(self.weights(task.number), dump_tensors(model.state_dict()))

    def together(self, tasks: Sequence[Task]) -> list[Done]:
        """Train trials as far as they are asked for, those of one kind in one loop."""
        material = self.material
        normalize = arms.normalization(self.arm, material)
        made = [self.member(task.params, material, normalize) for task in tasks]
        kinds = [_kind(own, rows) for own, rows in made]
        found: dict[int, Done] = {}
        for kind in dict.fromkeys(kinds):
            places = [place for place, other in enumerate(kinds) if other == kind]
            if not kind:
                found |= {place: attempt(self, tasks[place]) for place in places}
                continue
            fitted = fit_together(
                [made[place][0] for place in places],
                made[places[0]][1],
                nobody(material),
                until=tasks[places[0]].until,
                checkpoint=self.folder / f"fleet-{kind}.safetensors",
                progress=self.progress,
            )
            for place, each in zip(places, fitted, strict=True):
                if isinstance(each, Fitted):
                    self._keep(tasks[place], each.model)
                found[place] = _done(each, material)
        return [found[place] for place in range(len(tasks))]

    def member(
        self,
        params: Mapping[str, Any],
        material: arms.Material,
        normalize: Normalize | None = None,
    ) -> tuple[Member, Dataset]:
        """Return what is to be trained for a trial's values, and its rows."""
        return arms.member(
            self.arm,
            resolve(self.section, params),
            seed=self.seed,
            material=material,
            normalize=normalize,
        )


def watched(own: Member, material: arms.Material) -> Dataset:
    """Return the val rows that a trial looks at on its way: it draws no curve, so none unless
    patience has to be judged.
    """
    return nobody(material) if own.settings.patience is None else material.val


def nobody(material: arms.Material) -> Dataset:
    """Return no val rows."""
    return material.val.take(torch.arange(0))


def _kind(own: Member, rows: Dataset) -> str:
    """Return a word that trials have in common which can be trained in one loop, on the same rows;
    empty for one that cannot be trained with others.
    """
    kind = kind_of(own)
    return "" if kind is None else f"{kind[:16]}-{len(rows)}"


def _done(fitted: Fitted | TrainingFailed, material: arms.Material) -> Done:
    if isinstance(fitted, TrainingFailed):
        return Done(None, str(fitted))
    return Done(arms.measure(fitted.model, material))
