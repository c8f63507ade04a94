"""Approval by a suspended run, on a real Prefect server and a real registry; nothing is trained."""

import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flows.team import LITTLE
from integration.house import WARNINGS, House, project
from release.house import enroll, place, release, student

from stillhouse.release.aliases import set_challenger
from stillhouse.release.champion import champion_files
from stillhouse.release.promote import rollback
from stillhouse.release.registry import Registry
from stillhouse.workspace import Workspace
from stillhouse_flows import databases, server

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]
TESTS = str(Path(__file__).parents[1])


@dataclass
class Desk:
    """Where runs ask and people answer."""

    house: House
    url: str
    deployment: str

    @property
    def env(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (TESTS, os.environ.get("PYTHONPATH"))))
        return {"PREFECT_API_URL": self.url, "PYTHONPATH": path}

    def registry(self) -> Registry:
        return Registry.open(place(self.house.root), "digits")

    def waits(self, seed: int) -> int:
        """Let another student wait, judged over the champion as it is now; return its version."""
        registry, root = self.registry(), self.house.root
        over, _ = champion_files(registry, "")
        Workspace(root).write_bytes(".stillhouse/champion/champion.json", over)
        version = enroll(root, "digits", student(seed, champion=over))
        set_challenger(registry, version)
        return version

    def asks(self, version: int) -> str:
        """Start a run that asks about a version; return it."""
        parameters = {"root": str(self.house.root), "model": "digits", "version": version}
        body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
        run: str = ask(self.url, f"deployments/{self.deployment}/create_flow_run", body)["id"]
        self.works(run)
        return run

    def works(self, run: str) -> None:
        """Do what a worker does when it is a run's turn."""
        self.house.do("prefect", "flow-run", "execute", run, env=self.env)

    def state(self, run: str) -> tuple[str, str]:
        """Return name and message of a run's state."""
        found = ask(self.url, f"flow_runs/{run}")["state"]
        return found["name"], found["message"] or ""


def ask(url: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    changes = {**LITTLE, "release": {"approval": True}}
    house = project(tmp_path_factory.mktemp("approval") / "the desk", changes)
    databases.seed(house.root)
    started = server.start(house.root)
    try:
        server.wait(started)
        flow = ask(started.url, "flows/", {"name": "asking"})["id"]
        about = {"name": "digits", "flow_id": flow, "entrypoint": "flows.asking.asking"}
        made = ask(started.url, "deployments/", about)
        release(house.root, "digits", student(1))
        yield Desk(house, started.url, made["id"])
    finally:
        server.stop(started, house.root)


def test_a_run_suspends_and_goes_on_when_a_person_says_yes(desk: Desk):
    version = desk.waits(2)
    run = desk.asks(version)
    assert desk.state(run)[0] == "Suspended"
    again = desk.asks(version)
    assert desk.state(again)[0] == "Completed"  # it is asked already
    told = desk.house.json("approve", "--note", "looks right", env=desk.env)
    assert told == {
        "outcome": "approved",
        "model": "digits",
        "version": version,
        "flow_run": run,
    }
    desk.works(run)
    assert desk.state(run)[0] == "Completed"
    assert desk.registry().state().champion == version


def test_the_form_takes_only_what_it_allows_and_a_no_is_remembered(desk: Desk):
    version, head = desk.waits(3), desk.registry().state().head
    run = desk.asks(version)
    for wrong in ({"decision": "yes"}, {"decision": True}, {"note": "no decision"}, {}):
        answer = ask(desk.url, f"flow_runs/{run}/resume", {"run_input": wrong})
        assert (answer["status"], desk.state(run)[0]) == ("REJECT", "Suspended"), wrong
    desk.house.json("approve", "--decline", env=desk.env)
    desk.works(run)
    assert desk.state(run)[0] == "Completed"
    assert desk.registry().state().head == head
    again = desk.asks(version)
    assert desk.state(again)[0] == "Completed"  # the same question is not asked twice


def test_a_stale_verdict_cannot_be_approved_on_any_way(desk: Desk):
    version = desk.waits(4)
    run = desk.asks(version)
    seen = desk.registry().state()
    rollback(desk.registry(), seen.head)
    now = desk.registry().state()
    refused = desk.house.stillhouse("approve", env=desk.env, code=3)
    assert f"over head {seen.head}" in refused.said
    assert f"(head {now.head}) now" in refused.said
    assert desk.state(run)[0] == "Suspended"
    # Prefect's page knows nothing of champions: the run itself refuses.
    ask(desk.url, f"flow_runs/{run}/resume", {"run_input": {"decision": "promote"}})
    desk.works(run)
    name, message = desk.state(run)
    assert name == "Failed"
    assert "was judged over another" in message
    assert desk.registry().state().head == now.head


def test_without_a_run_that_asks_it_is_promoted_here(desk: Desk):
    version = desk.waits(5)
    approved = desk.house.json("approve", env=desk.env)
    assert (approved["outcome"], approved["version"]) == ("promoted", version)
    nothing = desk.house.stillhouse("approve", env=desk.env, code=2)
    assert "nothing waits" in nothing.said
    away = {**desk.env, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    lost = desk.house.stillhouse("approve", version, env=away, code=1)
    assert "does not answer" in lost.said
