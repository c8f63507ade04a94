"""A week of a team that nobody looks after, in order: each test goes on where the one before left
the house. Real server, real workers, a file of data that grows; minutes of waiting.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from flows.team import Team, kill, team
from integration.house import WARNINGS, merged
from sklearn.datasets import load_digits

from stillhouse.pipeline import Project
from stillhouse.pipeline.news import news

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]

DATA = {
    "prepare": {"source": {"name": "npz", "path": "rows.npz"}, "kind": "image"},
    "distill": {"epochs": 300, "seeds": 2},
}


def rows(path: Path, count: int) -> None:
    """Write the first rows of scikit-learn's digits."""
    found = load_digits()
    np.savez(path, inputs=found.images[:count, None] / 16.0, targets=found.target[:count])


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    place = tmp_path_factory.mktemp("a week")
    rows(place / "rows.npz", 1500)
    with team(place, DATA, [place / "rows.npz"]) as made:
        made.deploy()
        yield made


def until(done: Callable[[], Any], what: str, patience: float = 240.0) -> Any:
    deadline = time.monotonic() + patience
    while not (found := done()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.3)
    return found


def change(crew: Team, **changes: Any) -> None:
    path = crew.house.root / "params.yaml"
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), changes)))


def worker(crew: Team) -> subprocess.Popen[bytes]:
    """Return the one worker that lives, started if need be."""
    alive = [w for w in crew.workers if w.poll() is None]
    return alive[0] if alive else crew.work()


def test_a_run_whose_worker_was_killed_is_marked_crashed_and_the_next_goes_on(crew: Team):
    first, doomed = crew.start(), worker(crew)
    tuned = crew.house.root / "artifacts" / "tune" / "metrics.json"
    until(tuned.is_file, "the search was done")
    kill(doomed)
    assert crew.state(first)[0] == "RUNNING"  # nobody knows yet
    second = crew.start()
    worker(crew)
    kind, name, message = crew.until(first, patience=200)
    assert (kind, name) == ("CRASHED", "Crashed")
    assert "No heartbeat" in message
    assert crew.until(second)[0] == "COMPLETED", crew.log(second)
    said = crew.log(second)
    assert "knowledge: unchanged" in said
    assert "distill: ran" in said
    assert crew.house.ledger().champion == 1


def test_two_asked_for_at_once_run_one_after_the_other_and_the_second_finds_it_done(crew: Team):
    worker(crew)
    change(crew, distill={"seeds": 1})
    pair = [crew.start(), crew.start()]
    assert [crew.until(run)[0] for run in pair] == ["COMPLETED", "COMPLETED"]
    told = [crew.ask(f"flow_runs/{run}") for run in pair]
    one, two = sorted(told, key=lambda run: run["start_time"])
    assert two["start_time"] >= one["end_time"]
    assert "report: unchanged" in crew.log(two["id"]).partition("Finished in state")[0]
    assert "distill: ran" not in crew.log(two["id"]).partition("worker")[0]


def test_data_that_grew_are_seen_told_and_retrained_on(crew: Team):
    worker(crew)
    before, head = len(crew.runs()), crew.house.ledger().head
    assert crew.until(crew.start("monitor"))[0] == "COMPLETED"
    assert len(crew.runs()) == before  # nothing changed: nothing was told
    rows(crew.house.root / "rows.npz", 1797)
    assert news(Project.open(crew.house.root)).names == ("rows.npz",)
    looked = crew.start("monitor")
    assert crew.until(looked)[0] == "COMPLETED", crew.log(looked)
    assert "The data changed: rows.npz." in crew.log(looked)
    newest = until(lambda: crew.runs()[before:], "the event started a run")[-1]
    assert crew.until(newest["id"])[0] == "COMPLETED", crew.log(newest["id"])
    assert newest["created_by"]["type"] == "AUTOMATION"
    split = crew.house.artifact("prepare/data.json")["rows"]
    assert split["train"] + split["val"] + split["test"] == 1797
    assert crew.house.ledger().head >= head


def test_a_thousand_forged_events_start_one_run_that_promotes_nothing(crew: Team):
    worker(crew)
    before, head = len(crew.runs()), crew.house.ledger().head
    forged = [
        {
            "event": "stillhouse.data.changed",
            "resource": {"prefect.resource.id": "stillhouse.dataset.digits", "evil": "sets"},
            "payload": {"sets": ["gate.rules=[]"], "root": "/etc"},
            "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": f"00000000-0000-4000-8000-{number:012d}",
        }
        for number in range(1000)
    ]
    for at in range(0, 1000, 100):
        crew.ask("events", forged[at : at + 100])
    time.sleep(20)
    started = crew.runs()[before:]
    assert len(started) <= 1
    for run in started:
        assert crew.until(run["id"])[0] == "COMPLETED"
        assert run["parameters"]["sets"] == []
    assert crew.house.ledger().head == head


def test_deploying_again_makes_nothing_twice(crew: Team):
    told = crew.deploy()
    assert told["deployments"] == ["monitor/digits", "retrain/digits"]
    found = [automation["name"] for automation in crew.ask("automations/filter", {})]
    assert sorted(found) == [
        "a dead run of monitor/digits",
        "a dead run of retrain/digits",
        "new data for digits",
    ]
    assert len(crew.ask("deployments/filter", {})) == 2
    assert [pool["name"] for pool in crew.ask("work_pools/filter", {})] == ["stillhouse"]


# --- approval -----------------------------------------------------------------------------------


def another_student(crew: Team, seed: int) -> None:
    """Ask for a student that differs from the champion."""
    change(crew, distill={"epochs": 300 + seed})


def asks(crew: Team) -> str:
    """Start a run that trains another student and suspends; return it."""
    worker(crew)
    run = crew.start()
    found = crew.until(run, "PAUSED", "COMPLETED", "FAILED", "CRASHED")
    assert found[:2] == ("PAUSED", "Suspended"), crew.log(run)
    return run


def test_a_student_that_passes_waits_and_is_promoted_when_a_person_says_so(crew: Team):
    change(crew, release={"approval": True})
    another_student(crew, 1)
    champion = crew.house.ledger().champion
    run = asks(crew)
    assert crew.house.ledger().champion == champion
    waits = crew.house.registry().aliases()["challenger"]
    again = crew.start()  # the next scheduled run does not ask a second time
    assert crew.until(again)[0] == "COMPLETED", crew.log(again)
    assert "asks for this approval already" in crew.log(again)
    told = crew.house.json("approve", "--note", "looks right", env=crew.env)
    assert told == {
        "outcome": "approved",
        "model": "digits",
        "version": waits,
        "flow_run": run,
    }
    assert crew.until(run)[0] == "COMPLETED", crew.log(run)
    assert "looks right" in crew.log(run)
    assert crew.house.ledger().champion == waits


def test_a_run_asked_by_its_form_takes_only_what_the_form_allows(crew: Team):
    another_student(crew, 2)
    champion, run = crew.house.ledger().champion, asks(crew)
    for wrong in ({"decision": "yes"}, {"decision": True}, {"note": "no decision"}, {}):
        answer = crew.ask(f"flow_runs/{run}/resume", {"run_input": wrong})
        assert answer["status"] == "REJECT", wrong
        assert crew.state(run)[1] == "Suspended"
    crew.house.json("approve", "--decline", env=crew.env)
    assert crew.until(run)[0] == "COMPLETED", crew.log(run)
    assert "was declined" in crew.log(run)
    assert crew.house.ledger().champion == champion
    again = crew.start()
    assert crew.until(again)[0] == "COMPLETED", crew.log(again)
    assert "declined before" in crew.log(again)


def test_a_verdict_over_a_champion_that_is_gone_cannot_be_approved(crew: Team):
    another_student(crew, 3)
    run = asks(crew)
    state = crew.house.ledger()
    crew.house.stillhouse("rollback", "--from", state.head)
    head = crew.house.ledger().head
    assert head != state.head
    refused = crew.house.stillhouse("approve", env=crew.env, code=3)
    assert f"head {state.head}" in refused.said
    assert f"head {head}" in refused.said
    assert crew.state(run)[1] == "Suspended"
    # The form on Prefect's page knows nothing of champions: the run itself refuses.
    assert crew.ask(f"flow_runs/{run}/resume", {"run_input": {"decision": "promote"}})
    kind, _, message = crew.until(run)
    assert kind == "FAILED", crew.log(run)
    assert "judged over another" in message + crew.log(run)
    assert crew.house.ledger().head == head


def test_by_hand_it_is_registered_and_approve_promotes_it_here(crew: Team):
    for left in crew.workers:
        kill(left)
    another_student(crew, 4)
    told = crew.house.json("run", env=crew.env, code=3)
    assert told["outcome"] == "held"
    approved = crew.house.json("approve", told["version"], env=crew.env)
    assert (approved["outcome"], approved["version"]) == ("promoted", told["version"])
    assert crew.house.ledger().champion == told["version"]
    nothing = crew.house.stillhouse("approve", env=crew.env, code=2)
    assert "nothing waits" in nothing.said
