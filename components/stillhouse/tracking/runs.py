"""The runs of one model in MLflow: found by what makes a retrain this one, and buried where their
process is gone.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from stillhouse.environment import Place
from stillhouse.failpoints import failpoint
from stillhouse.tracking import owner
from stillhouse.tracking.client import Exists, call, client, read
from stillhouse.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_KEY = "stillhouse.run_key"


def millis(moment: datetime) -> int:
    """Return a moment as MLflow counts it: milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def experiment_of(mlflow: "MlflowClient", place: Place, model: str) -> str:
    """Return the id of the model's experiment, made if it is not there; its artifacts lie in the
    workspace unless a server keeps them.
    """
    found = call(lambda: mlflow.get_experiment_by_name(model), place)
    if found is None:
        location = place.artifact_root.resolve().as_uri() if place.artifact_root else None
        failpoint("tracking.before_experiment")
        try:
            made = call(lambda: mlflow.create_experiment(model, artifact_location=location), place)
            failpoint("tracking.after_experiment")
            return str(made)
        except Exists:  # another run made it meanwhile
            found = call(lambda: mlflow.get_experiment_by_name(model), place)
    if found.lifecycle_stage == "deleted":
        call(lambda: mlflow.restore_experiment(found.experiment_id), place)
    return str(found.experiment_id)


def search(mlflow: "MlflowClient", place: Place, experiment: str, condition: str) -> list[Any]:
    """Return all runs of an experiment that meet a condition, page by page."""
    runs: list[Any] = []
    token: str | None = None
    while True:
        page = read(
            partial(
                mlflow.search_runs, [experiment], condition, max_results=1000, page_token=token
            ),
            place,
        )
        runs += page
        token = page.token
        if not token:
            return runs


def bury(mlflow: "MlflowClient", place: Place, experiment: str, run_key: str) -> None:
    """Mark runs as killed whose process is gone; the one that is about to be taken up again is
    left.
    """
    for run in search(mlflow, place, experiment, "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if owner.is_dead(tags, Workspace(place.root)) and tags.get(RUN_KEY) != run_key:
            call(partial(mlflow.set_terminated, run.info.run_id, "KILLED"), place)


def abandoned(place: Place, model: str) -> bool:
    """Whether a run of this model is still open in MLflow although its process is gone: the next
    retrain takes it up or buries it.

    Raises:
        ServerUnreachable: MLflow does not answer.
    """
    mlflow = client(place)
    found = call(lambda: mlflow.get_experiment_by_name(model), place)
    if found is None:
        return False
    running = search(mlflow, place, str(found.experiment_id), "attributes.status = 'RUNNING'")
    workspace = Workspace(place.root)
    return any(
        owner.is_dead(run.data.tags, workspace) for run in running if RUN_KEY in run.data.tags
    )


def find_or_create(
    mlflow: "MlflowClient",
    place: Place,
    experiment: str,
    tags: Mapping[str, str],
    name: str,
    now: datetime,
) -> tuple[str, bool]:
    """Return the run of this key and whether it was there.

    MLflow's client repeats lost calls, so several may be: the oldest counts. One that is open in
    another process that may live, such as a clone's, is left to it.
    """
    key, workspace = tags[RUN_KEY].replace("'", ""), Workspace(place.root)

    def ours() -> list[Any]:
        found = search(mlflow, place, experiment, f"tags.`{RUN_KEY}` = '{key}'")
        return [
            r
            for r in found
            if r.info.status != "RUNNING" or not owner.is_anothers(r.data.tags, workspace)
        ]

    found = ours()
    if not found:
        failpoint("tracking.before_run")
        call(
            lambda: mlflow.create_run(
                experiment, millis(now), {**tags, RUN_KEY: key}, name or None
            ),
            place,
        )
        failpoint("tracking.after_run")
        return _oldest(mlflow, place, ours()), False
    run_id = _oldest(mlflow, place, found)
    from mlflow.entities import RunTag

    call(
        lambda: mlflow.log_batch(
            run_id, tags=[RunTag(k, v) for k, v in tags.items() if k != RUN_KEY]
        ),
        place,
    )
    call(lambda: mlflow.update_run(run_id, status="RUNNING"), place)
    return run_id, True


def _oldest(mlflow: "MlflowClient", place: Place, found: list[Any]) -> str:
    """Return the run that counts, and delete its doubles: one call made them all, so that they
    began at one moment.
    """
    first, *others = sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
    for other in others:
        if other.info.start_time == first.info.start_time and other.info.status == "RUNNING":
            call(partial(mlflow.delete_run, other.info.run_id), place)
    return str(first.info.run_id)
