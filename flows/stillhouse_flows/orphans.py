"""Flow runs that a killed run left Running in this workspace's own Prefect: nobody else would ever
close them.
"""

import json
import urllib.error
import urllib.request
from typing import Any

from stillhouse.errors import ServerUnreachable

OPEN = ["RUNNING", "PENDING", "CANCELLING"]
WHY = "The process that ran it was killed; the next run closed it."
SECONDS = 15.0


def close(url: str) -> int:
    """Mark every flow run that is still open, and its tasks, as Crashed; runs of deployments are
    their worker's to close.

    Call it while holding the workspace: then no other run of it is alive, whatever Prefect
        believes.

    Args:
        url: The API of the server that belongs to this workspace alone.

    Returns:
        How many flow runs were closed.

    Raises:
        ServerUnreachable: The server does not answer.
    """
    runs = _ask(
        f"{url}/flow_runs/filter",
        {"flow_runs": {"state": {"type": {"any_": OPEN}}, "deployment_id": {"is_null_": True}}},
    )
    for run in runs:
        tasks = _ask(
            f"{url}/task_runs/filter",
            {
                "flow_runs": {"id": {"any_": [run["id"]]}},
                "task_runs": {"state": {"type": {"any_": OPEN}}},
            },
        )
        for place in (*(f"task_runs/{task['id']}" for task in tasks), f"flow_runs/{run['id']}"):
            _ask(
                f"{url}/{place}/set_state",
                {"state": {"type": "CRASHED", "name": "Crashed", "message": WHY}, "force": True},
            )
    return len(runs)


def _ask(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise ServerUnreachable(
            f"Prefect's server does not answer: {error}",
            where=url,
            fix="See .stillhouse/prefect/server.log.",
        ) from None
