"""A step: files and settings in, files and metrics out. It knows no Prefect, no DVC, no MLflow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stillhouse import config
from stillhouse.clock import SYSTEM, Clock
from stillhouse.environment import Place
from stillhouse.workspace import StepFiles

if TYPE_CHECKING:
    import torch

    from stillhouse.evaluation.tasks import Task

T = TypeVar("T")
Metrics = dict[str, float]
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str) -> None:
    """Show nothing."""


def untold(sentence: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Job:
    """What a step is given.

    Attributes:
        files: What it may read and write.
        params: The resolved params.yaml, overrides laid over.
        place: Threads, device and servers; nothing that is science.
        clock: For durations that go to timing files only.
        progress: Called with (done, total, note) during long work; it shows an ETA.
        timing: The step's clocks by name (ms, s): the runner stores them in `<step>.timing.json`,
            apart from the metrics.
        told: Called with a sentence that a user should read now, such as what a long job will take.
    """

    files: StepFiles
    params: Mapping[str, Any]
    place: Place
    clock: Clock = SYSTEM
    progress: Progress = silent
    timing: dict[str, float] = field(default_factory=dict)
    told: Callable[[str], None] = untold

    def settings(self, make: Callable[..., T], section: str) -> T:
        """Return a section of params.yaml as the typed settings `make`.

        Raises:
            SettingsError: A key is unknown, a type wrong, a value out of bounds.
        """
        return config.build(make, self.params.get(section), where=section)

    @property
    def device(self) -> "torch.device":
        """Where models compute.

        Raises:
            SettingsError: This machine has no such device.
        """
        from stillhouse.models.device import chosen, settle

        device = chosen(self.place.device)
        settle(device)
        return device

    @property
    def root(self) -> Path:
        """The folder of params.yaml."""
        return self.files.workspace.root


@dataclass(frozen=True)
class Step:
    """A step's declaration; dvc.yaml must agree with it, and a test holds it to that.

    Attributes:
        name: Its section in params.yaml, its stage in dvc.yaml, its folder under artifacts/.
        run: The body; returns the metrics that the runner stores in metrics.json.
        reads: `step/file` names of other steps' results.
        writes: Its own files (without `<step>/`), besides metrics.json and `<step>.timing.json`.
        sections: Sections of params.yaml that it reads; its own first.
        check: Checks those sections of the resolved params at load, plugins included, and raises
            SettingsError.
        sources: Returns the files that its section names, by setting, as written there.
        watermarks: Returns what stands for data that are no files, by setting: a database's.
        fits: Refuses settings that mean nothing where such a task is given: at load, as far as the
            source says what is predicted, and exactly once its rows are read.
    """

    name: str
    run: Callable[[Job], Metrics]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    sections: tuple[str, ...]
    check: Callable[[Mapping[str, Any]], None]
    sources: Callable[[Mapping[str, Any]], dict[str, str]] = lambda params: {}
    watermarks: Callable[[Mapping[str, Any], Path], dict[str, str]] = lambda params, root: {}
    fits: "Callable[[Mapping[str, Any], Task], None]" = lambda params, task: None
