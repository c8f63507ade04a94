"""Who runs a study's trials: this process, or several of their own.

They never touch the journal; they train and answer.

A worker beats every second. One that falls silent is killed; one that dies is replaced, and its
trial comes back as `Died`. Workers end at once when the
process that started them does, however it ends: their pipe closes.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from stillhouse.clock import SYSTEM, Clock
from stillhouse.errors import StillhouseError, TrainingFailed

BEAT = 1.0  # seconds between two signs of life
# seconds without one after which a worker is taken for stuck: a machine that swaps can be slow, not
# that slow
SILENCE = 60.0
STDERR = 2

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A trial that is to be trained.

    Attributes:
        number: The trial's.
        params: What it tries, by path name.
        until: Share of its steps after which to stop and measure; what was trained before, up to
            a smaller share, is not trained again.
    """

    number: int
    params: Params
    until: float = 1.0


Problem = Callable[[Task], Mapping[str, float]]
"""Trains a trial and returns its metrics; raises TrainingFailed where the loss is no number. Sent
to workers, as is `Ready`."""
Ready = Callable[[int], None]
"""What a worker of a number does once, before its first trial: threads, plugins, its device."""


def nothing(number: int) -> None:
    """Be ready as it is."""


@dataclass(frozen=True)
class Done:
    """The trial ran: its metrics, or why it failed.

    Attributes:
        values: None where it failed.
        message: Why it failed; empty otherwise.
        at: Share of the steps after which it was measured for the last time; below 1 for one that
            was dropped.
    """

    values: Mapping[str, float] | None
    message: str = ""
    at: float = 1.0


@dataclass(frozen=True)
class Died:
    """The process that ran the trial ended without an answer."""

    message: str


Answer = Done | Died


class Workers(Protocol):
    """Runs trials."""

    @property
    def attempts(self) -> int:
        """How often a trial may see its process die before it counts as failed."""
        ...

    def run(self, problem: Problem, tasks: Sequence[Task]) -> list[Answer]:
        """Return an answer for each task, in the order of the tasks."""
        ...


def attempt(problem: Problem, task: Task) -> Done:
    """Return what one trial came to; a loss that is no number is an answer too, everything else
    that fails is an error.
    """
    try:
        return Done(dict(problem(task)))
    except TrainingFailed as error:
        return Done(None, str(error))


class Here:
    """Runs trials in this process, one after the other: no worker to start, nothing to send."""

    attempts = 2

    def run(self, problem: Problem, tasks: Sequence[Task]) -> list[Answer]:
        return [attempt(problem, task) for task in tasks]


@runtime_checkable
class Together(Protocol):
    """A problem that can train many trials in one loop."""

    def together(self, tasks: Sequence[Task]) -> list[Done]:
        """Return what each trial came to, in the order of the tasks."""
        ...


class AtOnce:
    """Runs all trials of a round in this process, in one loop.

    A death ends all of them at once and says little about any, so that it may happen more often.
    """

    attempts = 5

    def run(self, problem: Problem, tasks: Sequence[Task]) -> list[Answer]:
        if not isinstance(problem, Together):
            raise TypeError(f"{problem!r} cannot train several trials in one loop")
        return list(problem.together(tasks)) if tasks else []


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection
    heard: float
    task: int


@dataclass
class Pool:
    """Runs trials in processes of their own, `size` at a time; they start when they are first
    needed and serve one study after the other.

    Attributes:
        size: How many run at once.
        ready: Called in each worker before its first trial, with its number: from 0 below `size`,
            no two alike at one time.
        silence: Seconds without a sign of life after which a worker is killed.
        clock: Measures the silence.
    """

    size: int
    ready: Ready = nothing
    silence: float = SILENCE
    clock: Clock = SYSTEM
    attempts: ClassVar[int] = 2
    _idle: list[_Worker] = field(default_factory=list, init=False)
    _busy: list[_Worker] = field(default_factory=list, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in (*self._idle, *self._busy):
            self._end(worker)
        self._idle, self._busy = [], []

    def run(self, problem: Problem, tasks: Sequence[Task]) -> list[Answer]:
        """Return an answer for each task, in their order, whichever is ready first.

        Raises:
            StillhouseError: A task failed in a way that no trial may: the settings, the data or the
                code are wrong.
        """
        answers: dict[int, Answer] = {}
        waiting = list(enumerate(tasks))
        while len(answers) < len(tasks):
            while waiting and len(self._busy) < self.size:
                self._give(problem, *waiting.pop(0))
            heard = wait([worker.pipe for worker in self._busy], timeout=BEAT)
            for worker in list(self._busy):
                if worker.pipe in heard:
                    self._listen(worker, answers)
                elif self.clock.seconds() - worker.heard > self.silence:
                    self._lose(worker, answers, f"was silent for {self.silence:.0f} s")
        return [answers[number] for number in range(len(tasks))]

    def _give(self, problem: Problem, place: int, task: Task) -> None:
        worker = self._idle.pop() if self._idle else self._start()
        worker.task, worker.heard = place, self.clock.seconds()
        self._busy.append(worker)
        with contextlib.suppress(
            BrokenPipeError
        ):  # it died while idle: the closed pipe says so when it is read
            worker.pipe.send((problem, task))

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        command = [sys.executable, "-P", "-m", "stillhouse.tuning.serve", str(theirs.fileno())]
        # stdout is the parent's answer to whoever called it: what a plugin prints goes to stderr
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=STDERR
        )
        theirs.close()
        ours.send(sys.path)
        taken = {worker.number for worker in (*self._idle, *self._busy)}
        number = next(free for free in range(self.size) if free not in taken)
        ours.send((self.ready, number))
        return _Worker(number, process, ours, self.clock.seconds(), -1)

    def _listen(self, worker: _Worker, answers: dict[int, Answer]) -> None:
        try:
            heard = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.kill()
            self._lose(worker, answers, f"ended with code {worker.process.wait()}")
            return
        worker.heard = self.clock.seconds()
        if isinstance(heard, StillhouseError):
            raise heard
        if isinstance(heard, Done):
            answers[worker.task] = heard
            self._busy.remove(worker)
            self._idle.append(worker)

    def _lose(self, worker: _Worker, answers: dict[int, Answer], why: str) -> None:
        answers[worker.task] = Died(f"the worker {why}")
        self._busy.remove(worker)
        self._end(worker)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.wait()
        worker.pipe.close()
