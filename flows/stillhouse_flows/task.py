"""The Prefect tasks: one for each step, one for each act on the registry.

They hold policy, no work.
"""

from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from stillhouse.errors import StillhouseError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

    from stillhouse.pipeline import Project, Result
    from stillhouse.pipeline.publish import Published

STEP_SECONDS = 6 * 3600
ACT_SECONDS = 1800


def can_pass(task: "Task[Any, Any]", task_run: "TaskRun", state: "State[Any]") -> bool:
    """Whether a failure may pass by itself: a server that did not answer.

    Bad data, NaN and bugs fail the same way again.
    """
    try:
        # Prefect's own guess whether a loop runs here would return a coroutine, and never raise.
        state.result(_sync=True)  # type: ignore[call-overload]
    except StillhouseError as error:
        return error.may_pass
    except BaseException:
        return False
    return False


POLICY: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [2, 5, 15],
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": can_pass,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


@task(name="step", task_run_name="{name}", timeout_seconds=STEP_SECONDS, **POLICY)
def bring_up_to_date(name: str, project: "Project") -> "Result":
    """Restore a step's results, or run it."""
    return project.bring_up_to_date(name)


@task(name="register", task_run_name="register", timeout_seconds=ACT_SECONDS, **POLICY)
def register(project: "Project") -> int:
    """Store the student in the registry, once; return its version."""
    from stillhouse.pipeline import publish

    return publish.register(project)


@task(name="promote", task_run_name="promote v{version}", timeout_seconds=ACT_SECONDS, **POLICY)
def promote(project: "Project", version: int) -> "Published":
    """Make a version the champion, if the champion is still the one that its gate was compared
    with.
    """
    from stillhouse.pipeline import publish

    return publish.promote(project, version)
