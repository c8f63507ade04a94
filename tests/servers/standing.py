"""Servers as a team runs them: MLflow on PostgreSQL with artifacts through it, and Prefect; each a
process that can be killed and started again on its port.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse_flows.server import die_with_parent, free_port

START_SECONDS = 180.0


@dataclass
class Standing:
    """A server process.

    Attributes:
        folder: Its log and files.
        words: What starts it, `{port}` filled in.
        health: The path that answers 200 when it is ready.
        env: Laid over this process's.
        port: On loopback, the same after a restart.
    """

    folder: Path
    words: Sequence[str]
    health: str
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def begin(self) -> "Standing":
        """Start without waiting."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [word.format(port=self.port) for word in self.words],
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self

    def wait(self) -> "Standing":
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            ended = self.process is None or self.process.poll() is not None
            assert not ended, self.log.read_text()[-3000:]
            assert time.monotonic() < until, f"{self.words[:4]} did not start"
            time.sleep(0.1)
        return self

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self.health, timeout=3) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def start(self) -> "Standing":
        return self.begin().wait()

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it and all that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait(30)
            self.process = None


def mlflow_server(folder: Path, backend: str) -> Standing:
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend]
    words += ["--artifacts-destination", str(folder / "store"), "--serve-artifacts"]
    words += ["--host", "127.0.0.1", "--port", "{port}", "--workers", "1"]
    env = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    return Standing(folder, words, "/health", env)


def prefect_server(folder: Path, database: str = "") -> Standing:
    words = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    words += ["--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"]
    env = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONWARNINGS": "ignore",
        **({"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}),
    }
    return Standing(folder, words, "/api/health", env)
