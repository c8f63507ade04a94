"""A retrain that a worker started: what `stillhouse run` does around the flow, done within it."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.runtime import flow_run

from stillhouse import environment
from stillhouse.workspace import Workspace
from stillhouse_flows import databases, notify, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from stillhouse.pipeline import Project, Result
    from stillhouse.pipeline.publish import Published
    from stillhouse_flows.notify import Ended
    from stillhouse_flows.work import Walk


@contextmanager
def opened(root: Path, sets: "Sequence[str]" = ()) -> "Iterator[Project]":
    """Open the project at `root` and hold its workspace; what it says goes to the run's log."""
    environment.prepare(root)
    databases.seed(root)
    from stillhouse.pipeline import Project

    project = Project.open(root, sets, told=tell)
    holder = f"Prefect's run {flow_run.name or flow_run.id or 'of a worker'}"
    with project.held(holder, waiting=lambda who: tell(f"Waiting for {who} …")):
        yield project


def tell(sentence: str) -> None:
    """Write a sentence into the log of the flow run."""
    from prefect import get_run_logger

    get_run_logger().info(sentence)


def run(root: Path, model: str, sets: "Sequence[str]", walk: "Walk") -> "Published":
    """Retrain the project at `root`, if anything in it changed, and tell how it ended.

    Args:
        root: The project's folder.
        model: The registered model, also where params.yaml cannot be read.
        sets: `--set` texts, for this run only.
        walk: As in `work.tracked`.
    """
    with told(root, model) as ended, opened(root, sets) as project:
        published = work.unchanged(project, _log) or work.tracked(project, _log, walk)
        ended(project, published)
    tell(published.sentence)
    return published


def told(root: Path, model: str) -> "AbstractContextManager[Ended]":
    """Let people be told how a run in this project ends. As `notify.telling`."""
    environment.prepare(root)
    return notify.telling(Workspace(root), model, tell)


def _log(result: "Result") -> None:
    tell(f"{result.name}: {result.state}, {result.seconds:.1f} s")
