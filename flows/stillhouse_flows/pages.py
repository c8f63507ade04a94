"""`stillhouse ui`: MLflow's and Prefect's pages on loopback, running ones reused."""

import contextlib
import os
import subprocess
import sys
import urllib.error
import urllib.request

from stillhouse import environment
from stillhouse.clock import SYSTEM
from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable
from stillhouse.workspace import Workspace
from stillhouse_flows import server, show

MLFLOW_FILE = ".stillhouse/mlflow-ui.json"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _mlflow(place: Place) -> tuple[str, subprocess.Popen[bytes] | None]:
    """Return the address of MLflow's pages, started here if nobody has."""
    if place.tracking_uri.startswith("http"):
        return place.tracking_uri, None
    workspace = Workspace(place.root)
    if (place.root / MLFLOW_FILE).is_file():
        url = str(workspace.read_json(MLFLOW_FILE)["url"])
        if _answers(url):
            return url, None
    port = server.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        place.tracking_uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--default-artifact-root", (place.artifact_root or place.root).as_uri()]
    env = environment.child(place.root, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    log = os.open(
        place.root / environment.HIDDEN / "mlflow-ui.log",
        os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        0o600,
    )
    try:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place.root,
            preexec_fn=server.die_with_parent,
            start_new_session=True,
        )
    finally:
        os.close(log)
    workspace.write_json(MLFLOW_FILE, {"url": url, "pid": process.pid})
    deadline = SYSTEM.seconds() + 120
    while not _answers(url):
        if process.poll() is not None or SYSTEM.seconds() > deadline:
            raise ServerUnreachable(
                "MLflow's pages did not start.", fix="See .stillhouse/mlflow-ui.log."
            )
        SYSTEM.sleep(0.2)
    return url, process


def serve(place: Place) -> None:
    """Start both pages, print their links, and wait for Ctrl-C.

    Raises:
        ServerUnreachable: One of them did not start; the message names its log.
    """
    with contextlib.ExitStack() as stack:
        mlflow, process = _mlflow(place)
        if process is not None:
            stack.callback(_end, process, place)
        prefect = (
            server.Server(place.prefect_url)
            if place.prefect_url
            else server.start(place.root, services=True)
        )
        stack.callback(server.stop, prefect, place.root)
        server.wait(prefect)
        show.note(f"MLflow   {mlflow}")
        show.note(f"Prefect  {prefect.url.removesuffix('/api')}")
        if process is None and prefect.process is None:
            show.note("Both were running already.")
            return
        show.note("Ctrl-C stops what was started here.")
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it is meant to end
            while True:
                SYSTEM.sleep(1)


def _end(process: subprocess.Popen[bytes], place: Place) -> None:
    import signal

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    Workspace(place.root).remove(MLFLOW_FILE)
