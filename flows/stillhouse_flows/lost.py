"""Prefect's server that goes away while a flow runs: the work does not need it, so that a run that
came to its end is told as such, and one that did not ends clearly.
"""

import contextlib
import logging
import queue
from collections.abc import Callable
from typing import Any, TypeVar

from stillhouse.errors import ServerUnreachable, StillhouseError
from stillhouse_flows.interrupted import interrupted

T = TypeVar("T")
NOTE = (
    "Prefect went away before it heard the end of this run, and may show it as running; the run "
    "itself is whole."
)


def through(run: Callable[[], T], ended: list[T], told: Callable[[str], None]) -> T:
    """Return what a flow comes to.

    Args:
        run: Runs the flow.
        ended: Where the flow's body leaves its result, before Prefect is told.
        told: Receives a sentence if Prefect did not hear of it.

    Raises:
        ServerUnreachable: Prefect went away before the body ended.
        KeyboardInterrupt: It did because of a Ctrl-C.
        StillhouseError: What the body raised, also if Prefect could not be told of it.
    """
    logging.getLogger("EventsWorker").setLevel(logging.CRITICAL)  # we tell it once, in words
    try:
        return run()
    except StillhouseError:
        raise
    except Exception as error:
        if not _of_prefect(error):
            raise
        _forget()
        if ended:
            told(NOTE)
            return ended[0]
        said = _cause(error)
        if said is not None:
            raise said from None
        if interrupted(error):  # our own server hears a Ctrl-C of the terminal too, and is gone
            raise KeyboardInterrupt from None
        raise ServerUnreachable(
            f"Prefect went away: {type(error).__name__}.",
            where="PREFECT_API_URL",
            fix="Start it, or unset PREFECT_API_URL; the same command goes on where this one was.",
        ) from None


def _forget() -> None:
    """Drop the events that nobody takes: at exit Prefect would try each of them for seconds."""
    from prefect.events.worker import EventsWorker

    for worker in list(EventsWorker._instances.values()):  # type: ignore[misc]
        waiting: queue.Queue[Any] = worker._queue
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
                waiting.task_done()


def _of_prefect(error: BaseException) -> bool:
    """Whether an error is of Prefect's way to its server."""
    import httpx
    from prefect.exceptions import PrefectException

    return isinstance(error, httpx.HTTPError | PrefectException)


def _cause(error: BaseException) -> StillhouseError | None:
    """Return what went wrong in the body, while Prefect could not be told of it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, StillhouseError):
            return found
        found = found.__context__
    return None
