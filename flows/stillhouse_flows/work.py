"""What a retrain is, whoever started it: nothing where nothing changed, else the flow with MLflow's
run open around it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.pipeline import Project, Result
    from stillhouse.pipeline.publish import Published

Each = Callable[["Result"], None]
Walk = Callable[["Project", Each], "Published"]


def unchanged(project: "Project", each: Each) -> "Published | None":
    """Return how things stand if no step is stale and nothing waits to be promoted; every result
    was checked by hash.
    """
    from stillhouse import tracking
    from stillhouse.pipeline import publish

    if project.stale():
        return None
    settled = publish.settled(project)
    if settled is None or tracking.abandoned(
        project.place, project.model
    ):  # a run that was killed at its very end is finished by the flow
        return None
    results = list(project.unchanged())
    if len(results) < len(
        project.steps
    ):  # a file is not what was recorded: the flow makes it again
        return None
    for result in results:
        each(result)
    return settled


def tracked(project: "Project", each: Each, walk: Walk) -> "Published":
    """Walk through the steps while MLflow's run is open.

    Args:
        project: Open, its workspace held.
        each: Called after every step.
        walk: Brings every step up to date, registers and promotes.
    """
    from stillhouse.pipeline import publish

    with publish.tracked(project):
        return walk(project, each)
