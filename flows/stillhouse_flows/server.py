"""Prefect's server: the team's if PREFECT_API_URL names one, otherwise one of this workspace that
dies with its parent.

Prefect's own temporary server is never used: it inherits stdout and outlives a killed run.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stillhouse import environment
from stillhouse.clock import SYSTEM, Clock
from stillhouse.environment import Place
from stillhouse.errors import ServerUnreachable
from stillhouse.workspace import Workspace

PID_FILE = ".stillhouse/prefect/server.json"
START_SECONDS = 120.0
ELSEWHERE = 15.0  # seconds in which a server that somebody else runs has to answer
PR_SET_PDEATHSIG = 1

# Nothing of these serves a single run; each costs a loop that polls sqlite.
OFF = ("SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "FOREMAN", "TRIGGERS")


@dataclass(frozen=True)
class Server:
    """A Prefect server.

    Attributes:
        url: Its API.
        process: The process, if this one started it.
        services: Whether it runs schedules and triggers.
    """

    url: str
    process: subprocess.Popen[bytes] | None = None
    services: bool = False


def plain(url: str) -> str:
    """Return an address without the name and password that may stand in it: anybody may ask for a
    server's health, and urllib takes them for a part of the host's name.
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether a Prefect API answers at `url`."""
    try:
        with urllib.request.urlopen(f"{plain(url)}/health", timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends, even by SIGKILL
    (Linux).
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(root: Path, *, services: bool = False) -> Server:
    """Start a server of this workspace without waiting for it; a live one is reused.

    Args:
        root: The workspace; database and log go under .stillhouse/prefect/.
        services: Whether schedules and triggers run too, as `stillhouse ui` wants.
    """
    found = running(root)
    if found is not None:
        return found
    home = root / environment.HIDDEN / "prefect"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    off = {} if services else {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in OFF}
    api = f"http://127.0.0.1:{port}/api"
    env = environment.child(
        root,
        PREFECT_HOME=str(home),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_UI_API_URL=api,
        **off,
    )
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "prefect.server.api.server:create_app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    log = os.open(home / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            preexec_fn=die_with_parent,
            start_new_session=True,  # a Ctrl-C is ours: the run tells it how it ended
        )
    finally:
        os.close(log)
    Workspace(root).write_json(PID_FILE, {"pid": process.pid, "url": api, "services": services})
    return Server(api, process, services)


def running(root: Path) -> Server | None:
    """Return the live server of this workspace, if there is one."""
    path = root / PID_FILE
    if not path.is_file():
        return None
    try:
        note = json.loads(path.read_bytes())
        found = Server(str(note["url"]), services=bool(note.get("services")))
    except (ValueError, KeyError):
        return None
    return found if answers(found.url) else None


def wait(server: Server, clock: Clock = SYSTEM) -> None:
    """Wait until a server answers.

    Raises:
        ServerUnreachable: It ended, or did not answer in time.
    """
    deadline = clock.seconds() + (START_SECONDS if server.process else ELSEWHERE)
    while not answers(server.url):
        ended = server.process is not None and server.process.poll() is not None
        if ended or clock.seconds() > deadline:
            raise ServerUnreachable(
                f"Prefect's server at {plain(server.url)} does not answer.",
                fix="See .stillhouse/prefect/server.log."
                if server.process
                else "Start it, or unset PREFECT_API_URL: then a run has a server of its own.",
            )
        clock.sleep(0.1)


def stop(server: Server, root: Path) -> None:
    """Stop a server that this process started; another one's is left alone."""
    if server.process is None:
        return
    server.process.terminate()
    try:
        server.process.wait(10)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    Workspace(root).remove(PID_FILE)


@contextlib.contextmanager
def api(place: Place) -> Iterator[Server]:
    """Give a Prefect API that is started or found, but not waited for; it is stopped at the end if
    it was started here.
    """
    if place.prefect_url:
        yield Server(place.prefect_url)
        return
    server = start(place.root)
    try:
        yield server
    finally:
        stop(server, place.root)
