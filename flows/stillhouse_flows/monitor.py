"""The flow `monitor`: what has to happen between two retrains, every few minutes."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.events import emit_event

from stillhouse import environment
from stillhouse_flows.scheduled import tell
from stillhouse_flows.task import ACT_SECONDS, POLICY

if TYPE_CHECKING:
    from stillhouse.pipeline import Project

DATA_CHANGED = "stillhouse.data.changed"


def dataset(model: str) -> str:
    """Return the resource that events about a model's data are about."""
    return f"stillhouse.dataset.{model}"


@flow(name="monitor", flow_run_name="{model}", validate_parameters=False, persist_result=False)
def monitor(root: str, model: str) -> None:
    """Mend the aliases, deliver what waits in the outbox, and tell if the data changed.

    Args:
        root: The project's folder.
        model: The registered model's name, for the run's name.
    """
    place = Path(root)
    environment.prepare(place)
    from stillhouse.pipeline import Project

    project = Project.open(place, told=tell)
    mend_aliases(project)
    deliver(project)
    look_at_data(project)


@task(name="aliases", task_run_name="aliases", timeout_seconds=ACT_SECONDS, **POLICY)
def mend_aliases(project: "Project") -> bool:
    """Bring MLflow's aliases back to what the ledger says; return whether any was changed."""
    from stillhouse.release.aliases import reconcile

    changed = reconcile(project.registry, project.workspace.clock)
    if changed:
        tell("The aliases differed from the ledger and were mended.")
    return changed


@task(name="deliver", task_run_name="deliver", timeout_seconds=ACT_SECONDS, **POLICY)
def deliver(project: "Project") -> int:
    """Send what waits in the outbox; return how many notifications still wait."""
    from stillhouse_flows import notify

    return len(notify.deliver(project.workspace, tell))


@task(name="data", task_run_name="data", timeout_seconds=ACT_SECONDS, **POLICY)
def look_at_data(project: "Project") -> bool:
    """Emit `stillhouse.data.changed` if a file differs from what the last run locked; return
    whether it did.
    """
    from stillhouse.pipeline.news import news

    found = news(project)
    if found.names:
        emit_event(
            DATA_CHANGED,
            resource={"prefect.resource.id": dataset(project.model)},
            payload={"names": list(found.names), "digest": found.digest},
        )
        tell(f"The data changed: {', '.join(found.names)}.")
    return bool(found.names)
