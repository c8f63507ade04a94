"""Small problems for studies, in a module that worker processes can import."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import SettingsError, TrainingFailed
from stillhouse.tuning.workers import Task


def task(x: float) -> Task:
    """A trial of a value."""
    return Task(0, {"x": x})


def bowl(task: Task) -> dict[str, float]:
    """Best at x = 3."""
    params = task.params
    return {
        "val/accuracy": 1 - abs(params.get("x", 0.0) - 3) / 10,
        "val/nll": abs(params.get("x", 0.0) - 3),
        "student/parameters": float(params.get("width", 1)),
    }


def half_fail(task: Task) -> dict[str, float]:
    """No number above 5."""
    if task.params["x"] > 5:
        raise TrainingFailed("the loss of rows 4, 7 is not a number.")
    return bowl(task)


def all_fail(task: Task) -> dict[str, float]:
    raise TrainingFailed("the loss of rows 4, 7 is not a number.")


def misused(task: Task) -> dict[str, float]:
    raise SettingsError("the width is wrong.", where="distill.student")


def not_a_number(task: Task) -> dict[str, float]:
    return {**bowl(task), "val/nll": float("nan")} if task.params["x"] > 5 else bowl(task)


@dataclass(frozen=True)
class Ledger:
    """Writes down every run of a trial, with the process that ran it, and dies at some of them."""

    folder: Path
    deaths: int = 0
    mortal_above: float = 11.0
    stuck: bool = False

    def __call__(self, task: Task) -> dict[str, float]:
        seen = len(
            [p for p in self.folder.glob("*") if p.read_text().split()[0] == repr(task.params["x"])]
        )
        name = f"{time.monotonic_ns()}"
        part = self.folder.parent / f"{name}.part"  # others read the folder meanwhile
        part.write_text(f"{task.params['x']!r} {os.getpid()}")
        part.rename(self.folder / name)
        if task.params["x"] > self.mortal_above and seen < self.deaths:
            os.kill(os.getpid(), signal.SIGSTOP if self.stuck else signal.SIGKILL)
        return bowl(task)

    def runs(self) -> list[str]:
        return [p.read_text().split()[0] for p in sorted(self.folder.glob("*"))]

    def pids(self) -> set[int]:
        return {int(p.read_text().split()[1]) for p in self.folder.glob("*")}


@dataclass(frozen=True)
class Slow:
    """Says who runs, and never ends."""

    folder: Path

    def __call__(self, task: Task) -> dict[str, float]:
        (self.folder / str(os.getpid())).write_text("here")
        time.sleep(600)
        return bowl(task)


@dataclass(frozen=True)
class Seated:
    """Writes down the number that each worker is given, as it becomes ready."""

    folder: Path

    def __call__(self, number: int) -> None:
        (self.folder / f"{os.getpid()}").write_text(str(number))

    def numbers(self) -> list[int]:
        """Return the numbers of the workers that live, in order."""
        alive = [path for path in self.folder.glob("*") if Path(f"/proc/{path.name}").exists()]
        return sorted(int(path.read_text()) for path in alive)


def dies_below_zero(task: Task) -> dict[str, float]:
    """Slow enough that several workers are wanted; a negative trial ends its process."""
    if task.params["x"] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return bowl(task)
