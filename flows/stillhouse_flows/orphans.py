"""Flow runs that a killed run left Running in Prefect, the workspace's own or a team's: nobody else
would ever close them.
"""

import base64
import json
import secrets
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from stillhouse import environment
from stillhouse.errors import ServerUnreachable
from stillhouse.workspace import Workspace, sha256_bytes
from stillhouse_flows.server import plain

OPEN = ["RUNNING", "PENDING", "CANCELLING"]
WHY = "The process that ran it was killed; the next run closed it."
SECONDS = 15.0
WORD = ".stillhouse/prefect/workspace"


def mark(root: Path) -> str:
    """Return the tag of this workspace's flow runs, by which it knows them on a server that others
    use too.

    Bound to host and folder, so that a copied folder does not take the original's runs for its own.
    """
    path, workspace = root / WORD, Workspace(root)
    if not path.is_file():
        workspace.write_bytes(WORD, secrets.token_hex(16).encode())
    about = f"{path.read_text(encoding='utf-8')} {socket.gethostname()} {root.resolve()}"
    return f"workspace:{sha256_bytes(about.encode())[:16]}"


def close(url: str, tag: str = "") -> int:
    """Mark every flow run that is still open, and its tasks, as Crashed; runs of deployments are
    their worker's to close.

    Call it while holding the workspace: then no other run of it is alive, whatever Prefect
        believes.

    Args:
        url: The API of the server.
        tag: Only runs with it, on a server that does not belong to this workspace alone.

    Returns:
        How many flow runs were closed.

    Raises:
        ServerUnreachable: The server does not answer.
    """
    mine = {"tags": {"all_": [tag]}} if tag else {}
    wanted = {"state": {"type": {"any_": OPEN}}, "deployment_id": {"is_null_": True}, **mine}
    runs = _ask(f"{url}/flow_runs/filter", {"flow_runs": wanted})
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


def _who() -> dict[str, str]:
    """Return the header by which a team's server knows us, as Prefect's own client sends it."""
    password, key = (environment.secret(f"PREFECT_API_{word}") for word in ("AUTH_STRING", "KEY"))
    if password is not None:
        said = base64.b64encode(password.get_secret_value().encode()).decode()
        return {"Authorization": f"Basic {said}"}
    return {"Authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {}


def _ask(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        plain(url), json.dumps(body).encode(), {"Content-Type": "application/json", **_who()}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise ServerUnreachable(
            f"Prefect's server does not answer: {error}",
            where=plain(url),
            fix="Check PREFECT_API_URL; a server of this workspace has its log in "
            ".stillhouse/prefect/.",
        ) from None
