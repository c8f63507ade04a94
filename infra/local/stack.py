"""The team stack as plain processes on loopback: what infra/compose.yaml runs in containers.

PostgreSQL, MLflow with accounts and artifacts through it, Prefect, a worker. A folder stands for
the S3-compatible store.
"""

import importlib.util
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import secrets_file
from postgres import Postgres
from processes import Daemon, until

START_SECONDS = 240.0
PORTS = {"postgres": 5433, "mlflow": 5000, "prefect": 4200, "worker": 8081}
POOL = "stillhouse"
# A version's files come through MLflow's own proxy, a ledger entry points at a version; nothing
# else is a source (a `file:` or foreign address would make the server read what it should not).
SOURCES = r"^(mlflow-artifacts:/.*|models:/[A-Za-z0-9._-]+/[0-9]+)$"
QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PYTHONWARNINGS": "ignore",
}


class NotHealthy(Exception):
    """A part of the stack did not come up, or does not answer."""


def has_accounts() -> bool:
    """Whether MLflow can ask for a password here: its basic-auth app needs Flask-WTF."""
    return importlib.util.find_spec("flask_wtf") is not None


@dataclass(frozen=True)
class Stack:
    """One stack in one folder.

    Attributes:
        folder: State, logs, secrets, artifacts, and the DVC remote; private.
        project: Where the worker stands.
    """

    folder: Path
    project: Path

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Passwords, made at the first start."""
        return secrets_file.read(self.folder)

    @cached_property
    def ports(self) -> dict[str, int]:
        """Ports on loopback, chosen at the first start and kept."""
        path = self.folder / "ports.json"
        if not path.is_file():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(json.dumps({name: _free(port) for name, port in PORTS.items()}))
        found: dict[str, int] = json.loads(path.read_bytes())
        return found

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return Postgres(self.folder, self.ports["postgres"], self.secrets["POSTGRES_PASSWORD"])

    def url(self, name: str) -> str:
        """Return the address of a server."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def daemon(self, name: str) -> Daemon:
        """Return one of mlflow, prefect, worker."""
        return Daemon(name, self.folder)

    # --- for clients -----------------------------------------------------------------------------

    def client(self, user: str = "admin", password: str = "") -> dict[str, str]:
        """Return what a project's `.env` needs to join."""
        accounts = (
            {
                "MLFLOW_TRACKING_USERNAME": user,
                "MLFLOW_TRACKING_PASSWORD": password or self.secrets["MLFLOW_ADMIN_PASSWORD"],
            }
            if has_accounts()
            else {}
        )
        return {
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            **accounts,
            "PREFECT_API_URL": f"{self.url('prefect')}/api",
            "PREFECT_API_AUTH_STRING": f"stillhouse:{self.secrets['PREFECT_PASSWORD']}",
        }

    # --- starting and stopping -------------------------------------------------------------------

    def start(self) -> None:
        """Start what does not run, each when what it needs is healthy.

        Raises:
            NotHealthy: A server did not come up; the message has the end of its log.
        """
        for name in ("artifacts", "dvc"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.postgres.start()
        self._expect("postgres")
        self._start_mlflow()
        self._start_prefect()
        for name in ("mlflow", "prefect"):
            self._expect(name)
        self._start_worker()
        self._expect("worker")

    def stop(self) -> list[str]:
        """Stop everything, users of the database first; return what ran."""
        stopped = [n for n in ("worker", "prefect", "mlflow") if self.daemon(n).stop()]
        return [*stopped, "postgres"] if self.postgres.stop() else stopped

    def healthy(self, name: str) -> bool:
        """Whether one part answers."""
        if name == "postgres":
            return self.postgres.answers()
        path = "/api/health" if name == "prefect" else "/health"
        try:
            with urllib.request.urlopen(self.url(name) + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def _expect(self, name: str) -> None:
        """Wait until a part is healthy, but not for one that ended."""
        daemon = self.daemon(name)

        def settled() -> bool:
            return self.healthy(name) or (name != "postgres" and daemon.process() is None)

        if not until(settled, START_SECONDS) or not self.healthy(name):
            raise NotHealthy(
                f"{name} did not come up. The end of {daemon.log}:\n{daemon.last_words()}"
            )

    def _start_mlflow(self) -> None:
        words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        words += ["--port", str(self.ports["mlflow"]), "--workers", "2", "--serve-artifacts"]
        env = {
            **QUIET,
            **self.postgres.env,
            "MLFLOW_BACKEND_STORE_URI": self.postgres.url("mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": (self.folder / "artifacts").as_uri(),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": SOURCES,
        }
        if has_accounts():
            words += ["--app-name", "basic-auth"]
            config = self.folder / "auth.ini"
            config.write_text(
                "[mlflow]\n"
                "default_permission = READ\n"
                f"database_uri = {self.postgres.url('mlflow_auth')}\n"
                "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
                "auth_cache_ttl_seconds = 60\n"
            )
            env |= {
                "MLFLOW_AUTH_CONFIG_PATH": str(config),
                "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
                "MLFLOW_AUTH_ADMIN_PASSWORD": self.secrets["MLFLOW_ADMIN_PASSWORD"],
                "MLFLOW_FLASK_SERVER_SECRET_KEY": self.secrets["MLFLOW_SECRET_KEY"],
            }
        self.daemon("mlflow").start(words, env, self.folder)

    def _start_prefect(self) -> None:
        words = [sys.executable, "-m", "uvicorn", "--factory"]
        words += ["prefect.server.api.server:create_app", "--host", "127.0.0.1"]
        words += ["--port", str(self.ports["prefect"]), "--log-level", "warning"]
        env = {
            **QUIET,
            **self.postgres.env,
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_DATABASE_CONNECTION_URL": self.postgres.url("prefect", "asyncpg"),
            "PREFECT_SERVER_API_AUTH_STRING": f"stillhouse:{self.secrets['PREFECT_PASSWORD']}",
            "PREFECT_UI_API_URL": f"{self.url('prefect')}/api",
        }
        self.daemon("prefect").start(words, env, self.folder)

    def _start_worker(self) -> None:
        """The worker runs flows in the project's folder, as whoever started the stack."""
        words = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
        words += ["--type", "process", "--name", "team-local", "--with-healthcheck"]
        env = {
            **QUIET,
            **self.client(),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PREFECT_HOME": str(self.folder / "worker"),
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(self.ports["worker"]),
        }
        self.daemon("worker").start(words, env, self.project)


def _free(wished: int) -> int:
    """Return a port on loopback: the wished one if nobody has it."""
    for port in (wished, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise NotHealthy("there is no free port on loopback.")
