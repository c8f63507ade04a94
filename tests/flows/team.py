"""A project on a standing Prefect server with a worker beside it, as a team has them; all on
loopback.
"""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from integration.house import BIN, REPOSITORY, House, project

from stillhouse_flows import databases, server

# As little work as still ends in a promotion.
LITTLE = {
    "tune": {"trials": 1},
    "distill": {"epochs": 60, "seeds": 1},
    "gate": {"rules": [{"metric": "test/accuracy", "at_least": 0.3}]},
}
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Team:
    """A house, the server that keeps its schedules, and whoever works."""

    house: House
    url: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {"PREFECT_API_URL": self.url}

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask the server; one that says it is busy is asked again, as Prefect's own client does."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{path}", data, {"Content-Type": "application/json"}
        )
        for patience in range(6):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code != 503 or patience == 5:
                    raise
                time.sleep(2**patience)
        return None

    def deploy(self, **schedules: list[dict[str, Any]]) -> Any:
        """Deploy with these schedules in place of prefect.yaml's, by flow."""
        found = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
        for deployment in found["deployments"]:
            flow = deployment["entrypoint"].rpartition(".")[2]
            deployment["schedules"] = schedules.get(flow, [])
        (self.house.root / "prefect.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
        return self.house.json("deploy", env=self.env)

    def work(self, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker in a process group of its own, so that it can die with all its runs."""
        log = (self.house.home / "worker.log").open("ab")
        words = [BIN / "prefect", "worker", "start", "--pool", "stillhouse", "--type", "process"]
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ}
        mine = {
            "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(self.house.home),
            "PREFECT_HOME": str(self.house.home / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
        }
        with log:
            started = subprocess.Popen(
                [str(word) for word in words],
                env={**kept, **mine, **self.env, **env},
                cwd=self.house.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(started)
        return started

    def start(self, flow: str = "retrain", **parameters: Any) -> str:
        """Ask for a run now; return its id."""
        found = self.ask(f"deployments/name/{flow}/digits")
        state = {
            "state": {"type": "SCHEDULED"},
            "parameters": {**found["parameters"], **parameters},
        }
        return str(self.ask(f"deployments/{found['id']}/create_flow_run", state)["id"])

    def runs(self, flow: str = "retrain") -> list[Any]:
        """Return the flow's runs, first started first."""
        return list(
            self.ask(
                "flow_runs/filter",
                {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"},
            )
        )

    def first_run(self, flow: str = "retrain", patience: float = 120.0) -> Any:
        """Wait until the scheduler has made the flow's first run, and return it."""
        deadline = time.monotonic() + patience
        while not (found := self.runs(flow)):
            assert time.monotonic() < deadline, "the scheduler made no run"
            time.sleep(0.5)
        return found[0]

    def state(self, run: str) -> tuple[str, str, str]:
        """Return type, name and message of a run's state."""
        found = self.ask(f"flow_runs/{run}")["state"]
        return found["type"], found["name"], found["message"] or ""

    def until(self, run: str, *types: str, patience: float = 240.0) -> tuple[str, str, str]:
        """Wait until a run is in one of these states; without any, until it has ended."""
        deadline = time.monotonic() + patience
        while (found := self.state(run))[0] not in (types or ENDED):
            assert time.monotonic() < deadline, f"{found}: {self.log(run)}"
            time.sleep(0.5)
        return found

    def log(self, run: str) -> str:
        """Return what a run said, and the end of the worker's log.

        A process sends its last lines a moment after the run's state: they are waited for.
        """
        ended, deadline = self.state(run)[0] in ("COMPLETED", "FAILED"), time.monotonic() + 20
        while "Finished in state" not in (said := self.said(run)) and ended:
            if time.monotonic() > deadline:
                break
            time.sleep(0.3)
        return said + "\n" + (self.house.home / "worker.log").read_text()[-3000:]

    def said(self, run: str) -> str:
        """Return what Prefect has of what a run said."""
        asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.ask("logs/filter", asked))


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a worker and whatever it started, as a machine does that loses its power."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [*psutil.Process(worker.pid).children(recursive=True), worker]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    worker.wait()


# A schedule that comes round while a test waits.
OFTEN = [{"interval": 30}]


@contextlib.contextmanager
def team(
    place: Path, changes: dict[str, Any] | None = None, files: Sequence[Path] = ()
) -> Iterator[Team]:
    """Give a project on a server of its own that keeps schedules; all of it ends here."""
    house = project(place / "the team's house", {**LITTLE, **(changes or {})}, files)
    databases.seed(house.root)
    started = server.start(house.root, services=True)
    made = Team(house, started.url)
    try:
        server.wait(started)
        yield made
    finally:
        for worker in made.workers:
            kill(worker)
        server.stop(started, house.root)
