"""A worker's whole life: `python -m stillhouse.tuning.serve FD`.

A process of its own, so that nobody's main module is run a second time in it.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from stillhouse.errors import StillhouseError
from stillhouse.tuning.workers import BEAT, Done, Problem, Task, attempt

Tasks = queue.SimpleQueue[tuple[Problem, Task]]


def serve(pipe: Connection) -> None:
    """Answer tasks until the pipe closes: the process at its other end is gone, however it went.

    Args:
        pipe: Brings the parent's sys.path, then (what makes ready, the worker's number), then
            (problem, task) for ever; takes a `Done` or an error for each, and None as a sign of
            life.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole terminal; the parent decides what it means
    sys.path[:] = pipe.recv()
    ready, number = pipe.recv()
    sending, tasks = threading.Lock(), Tasks()
    threading.Thread(target=_beat, args=(pipe, sending), daemon=True).start()
    threading.Thread(target=_take, args=(pipe, tasks), daemon=True).start()
    ready(number)
    while True:
        answer = _answer(*tasks.get())
        with sending:
            pipe.send(answer)


def _answer(problem: Problem, task: Task) -> Done | StillhouseError:
    try:
        return attempt(problem, task)
    except StillhouseError as error:
        return error
    except (
        Exception
    ) as error:  # it must reach the parent in words: an exception's class need not be known there
        return StillhouseError(
            f"a trial failed in a worker: {type(error).__name__}: {error}",
            fix="Run with tune.workers=1 to see where.",
        )


def _take(pipe: Connection, tasks: Tasks) -> None:
    try:
        while True:
            tasks.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(1)  # nobody is left to answer


def _beat(pipe: Connection, sending: threading.Lock) -> None:
    pause = threading.Event()
    with contextlib.suppress(OSError):
        while not pause.wait(BEAT):
            with sending:
                pipe.send(None)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
