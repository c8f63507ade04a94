"""`stillhouse deploy`: schedules, triggers and the watch over dead workers, on a standing Prefect
server.
"""

import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stillhouse import environment
from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable, SettingsError, StillhouseError, UsageError
from stillhouse_flows import server

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

FILE = "prefect.yaml"
SILENCE = timedelta(seconds=90)  # three heartbeats; Prefect sends none more often than every 30 s
DIED = "No heartbeat for 90 seconds: its worker died. The next run goes on where this one was."


@dataclass(frozen=True)
class Deployed:
    """What a server knows of this project now.

    Attributes:
        url: The server's API, without a password.
        pool: The work pool that a worker has to serve.
        deployments: Their names, flow/model.
    """

    url: str
    pool: str
    deployments: tuple[str, ...]

    @property
    def worker(self) -> str:
        """The command that starts a worker."""
        return f"PREFECT_API_URL={self.url} prefect worker start --pool {self.pool} --type process"

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "server": self.url,
            "pool": self.pool,
            "deployments": list(self.deployments),
            "worker": self.worker,
        }


def deploy(place: Place, model: str) -> Deployed:
    """Create or bring up to date the work pool, the deployments of prefect.yaml and, for each, the
    automation that marks its dead runs.

    Args:
        place: Where; its Prefect server has to be a standing one.
        model: The registered model; deployments are named after it.

    Raises:
        UsageError: There is no prefect.yaml, or no server that outlives this command.
        ServerUnreachable: The server does not answer.
        StillhouseError: Prefect refused the file; the message is Prefect's.
    """
    url, pools = standing(place), pools_of(place.root)
    _require_answer(url)
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        for pool in pools:
            _pool(client, pool)
        _through_prefect(place.root, model, url)
        made = tuple(sorted(_watched(client, model)))
    return Deployed(server.plain(url), pools[0], made)


def standing(place: Place) -> str:
    """Return the API of a server that goes on when this command has ended.

    Raises:
        UsageError: There is none: a run's own server knows no schedules and dies with it.
    """
    if place.prefect_url:
        return place.prefect_url
    found = server.running(place.root)
    if found is None or not found.services:
        raise UsageError(
            "there is no Prefect server that keeps schedules.",
            where="PREFECT_API_URL",
            fix="Set it to your server's /api address, or keep `stillhouse ui` running.",
        )
    return found.url


def pools_of(root: Path) -> list[str]:
    """Return the work pools that prefect.yaml names, in order.

    Raises:
        UsageError: There is no such file, or it deploys nothing.
        SettingsError: It is no YAML.
    """
    path = root / FILE
    if not path.is_file():
        raise UsageError(
            f"there is no {FILE} here.", where=str(root), fix="Copy Stillhouse's into your project."
        )
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        pools = [str(d["work_pool"]["name"]) for d in found["deployments"]]
    except yaml.YAMLError as error:
        raise SettingsError(f"the file is no YAML: {error}", where=FILE, fix="Mend it.") from None
    except (KeyError, TypeError):
        pools = []
    if not pools:
        raise UsageError(
            "it deploys nothing to a work pool.",
            where=FILE,
            fix="Give `deployments` a list, each with `work_pool: {name: …}`.",
        )
    return list(dict.fromkeys(pools))


def _require_answer(url: str) -> None:
    if not server.answers(url, seconds=10.0):
        raise ServerUnreachable(
            "Prefect's server does not answer.",
            where=server.plain(url),
            fix="Check PREFECT_API_URL.",
        )


def _pool(client: "SyncPrefectClient", name: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(
            WorkPoolCreate(name=name, type="process", base_job_template=template)
        )
    except ObjectAlreadyExists:  # somebody's settings of it stay as they are
        return


def _through_prefect(root: Path, model: str, url: str) -> None:
    """Let Prefect read its own file."""
    env = environment.child(
        root, PREFECT_API_URL=url, STILLHOUSE_ROOT=str(root.resolve()), STILLHOUSE_MODEL=model
    )
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        [*command, "--prefect-file", FILE],
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        raise StillhouseError(f"Prefect refused the file: {said}", where=FILE, fix="Mend it.")


def _watched(client: "SyncPrefectClient", model: str) -> "list[str]":
    """Give each of the model's deployments its automation; return their names."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    found = client.read_deployments(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[model]))
    )
    names = []
    for deployment in found:
        flow = client.read_flow(deployment.flow_id).name
        wanted = watch(deployment.id, f"{flow}/{deployment.name}")
        for old in client.read_automations_by_name(wanted.name):
            client.delete_automation(old.id)
        client.create_automation(wanted)
        names.append(f"{flow}/{deployment.name}")
    return names


def watch(deployment: "UUID", name: str) -> "AutomationCore":
    """Return the automation that marks a deployment's run as Crashed when it falls silent.

    It belongs to the deployment, and goes with it. Any event of the run ends the wait, not only
    heartbeats: a run that has ended, waits for approval or was given back is silent by right.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    trigger = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(
            {
                "prefect.resource.role": "deployment",
                "prefect.resource.id": f"prefect.deployment.{deployment}",
            }
        ),
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    action = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=DIED, force=False)
    return AutomationCore(
        name=f"a dead run of {name}",
        description=DIED,
        trigger=trigger,
        actions=[action],
        owner_resource=f"prefect.deployment.{deployment}",
    )
