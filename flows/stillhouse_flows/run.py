"""`stillhouse run`: ask DVC what is stale, and only then start Prefect and the flow."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse import environment
from stillhouse.clock import SYSTEM
from stillhouse.workspace import Workspace
from stillhouse_flows import databases, notify, orphans, reach, server, show, work

if TYPE_CHECKING:
    from stillhouse.environment import Place
    from stillhouse.pipeline import Project, Result
    from stillhouse.pipeline.publish import Published

HOLDER = "stillhouse run"


def run_project(
    root: Path, sets: Sequence[str], *, json_only: bool, beside: Mapping[str, str] | None = None
) -> int:
    """Run the project at `root`; return the exit code.

    Args:
        root: The folder of params.yaml.
        sets: `--set` texts.
        json_only: Whether the end is told as one JSON object.
        beside: What else is told at the end, by name.
    """
    began = SYSTEM.seconds()
    place = environment.prepare(root)
    servers = reach.probes(place)
    databases.seed(root)
    with ExitStack() as stack:
        early = _early(place, stack)
        progress = stack.enter_context(show.progress())
        from stillhouse.pipeline import Project

        project = Project.open(root, sets, told=show.note, progress=progress)
        stack.enter_context(
            closing(project) if early else project.held(HOLDER, waiting=show.waiting)
        )
        results: list[Result] = []

        def each(result: "Result") -> None:
            results.append(result)
            show.step_done(result)

        with notify.telling(project.workspace, project.model, show.note) as ended:
            servers.require("MLflow")
            published = work.unchanged(project, each)
            if published is None:
                servers.require("Prefect's server")
                published = _through_the_flow(project, early, stack, each)
            ended(project, published)
        seconds = round(SYSTEM.seconds() - began, 3)
        if json_only:
            _emit(project, published, results, {**(beside or {}), "seconds": seconds})
        else:
            show.summary(published, project.artifact("report/receipt.json"), seconds)
            show.named(beside or {})
        return published.exit_code


def _early(place: "Place", stack: ExitStack) -> "Callable[[], None] | None":
    """Start Prefect's server before anything is read where all is stale, as in a fresh clone.

    The workspace is held before that, so that of two commands at one moment only one starts a
    server on its database.
    """
    with ExitStack() as held:
        if _is_fresh(place.root):
            held.enter_context(Workspace(place.root).lock(holder=HOLDER, waiting=show.waiting))
        if _is_fresh(place.root):  # still, now that it is ours
            stack.enter_context(held.pop_all())
            return stack.enter_context(_server(place))
    return None


def _is_fresh(root: Path) -> bool:
    return not (root / "dvc.lock").is_file() and (root / "params.yaml").is_file()


def _through_the_flow(
    project: "Project",
    early: "Callable[[], None] | None",
    stack: ExitStack,
    each: "Callable[[Result], None]",
) -> "Published":
    from stillhouse import tracking

    ready = early or stack.enter_context(_server(project.place))
    tracking.warm(project.place)  # while the server starts: it has a core of its own
    from stillhouse_flows.retrain import run_retrain

    ready()
    return work.tracked(project, each, run_retrain)


@contextmanager
def _server(place: "Place") -> "Iterator[Callable[[], None]]":
    """Start or find Prefect's server and point Prefect at it; give a function that waits for it and
    closes what killed runs of this workspace left open there.
    """

    def ready() -> None:
        server.wait(found)
        orphans.close(found.url, orphans.mark(place.root) if place.prefect_url else "")

    with server.api(place) as found:
        os.environ["PREFECT_API_URL"] = found.url
        try:
            yield ready
        finally:
            if not place.prefect_url:  # ours, which stops now: nobody after us must look for it
                os.environ.pop("PREFECT_API_URL", None)


def _emit(
    project: "Project",
    published: "Published",
    results: "Sequence[Result]",
    more: "Mapping[str, object]",
) -> None:
    page = project.workspace.artifacts / "report" / "receipt.html"
    steps = [{"name": r.name, "state": r.state, "seconds": r.seconds} for r in results]
    answer = {
        **published.as_dict(),
        "receipt": str(page) if page.is_file() else None,
        "steps": steps,
        **more,
    }
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
