import itertools
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stillhouse.environment import Place
from stillhouse.tracking import Child, Tracker, owner
from stillhouse.tracking.client import client
from stillhouse.tracking.spool import waiting
from stillhouse.tracking.tracker import flatten
from stillhouse.workspace import Workspace

_numbers = itertools.count()


@pytest.fixture
def model() -> str:
    return f"model-{next(_numbers)}"


def opened(place: Place, model: str, key: str = "key", **more: Any) -> Tracker:
    return Tracker.open(place, Workspace(place.root), model, key, **more)


def runs(place: Place, tracker: Tracker, condition: str = "") -> list[Any]:
    return list(client(place).search_runs([tracker.experiment], condition))


@contextmanager
def away(place: Place) -> Iterator[None]:
    """MLflow's database without its table of metrics: every call that writes one fails, as when a
    server is lost.
    """
    path = place.root / ".stillhouse" / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("alter table metrics rename to metrics_away")
    try:
        yield
    finally:
        with sqlite3.connect(path) as database:
            database.execute("alter table metrics_away rename to metrics")


def test_a_retrain_is_one_run_with_its_metrics_clocks_and_settings(
    place: Place, model: str
) -> None:
    tracker = opened(place, model, name="retrain", tags={"git": "https://ann:hunter2@host/x.git"})
    tracker.log_params({"distill": {"epochs": 4, "method": {"name": "kd"}}, "long": "x" * 900})
    tracker.log_step("distill", {"val/accuracy": 0.9, "test/accuracy": 0.8}, {"train_s": 1.5})
    tracker.finish()
    [run] = runs(place, tracker)
    assert run.data.metrics == {
        "val/accuracy": 0.9,
        "test/accuracy": 0.8,
        "timing/distill/train_s": 1.5,
    }
    assert run.data.params == {
        "distill.epochs": "4",
        "distill.method.name": "kd",
        "long": "x" * 500,
    }
    assert run.info.status == "FINISHED"
    assert run.data.tags["git"] == "https://***@host/x.git"
    assert run.data.tags[owner.PID] == str(os.getpid())


def test_the_same_key_is_the_same_run_after_a_kill_and_another_key_is_another(
    place: Place, model: str
) -> None:
    first = opened(place, model)
    first.log_params({"a": 1})
    again = opened(place, model)
    again.log_params({"a": 1, "b": 2})
    assert again.run_id == first.run_id
    assert opened(place, model, "other").run_id != first.run_id
    assert {r.info.run_id: r.data.params for r in runs(place, first)}[first.run_id] == {
        "a": "1",
        "b": "2",
    }


def test_trials_are_children_and_telling_them_twice_adds_none(place: Place, model: str) -> None:
    trials = [
        Child(f"student/trial-{i}", {"val/accuracy": i / 10}, {"lr": 0.1}, {"arm": "student"})
        for i in range(3)
    ]
    tracker = opened(place, model)
    tracker.log_children(trials)
    tracker.log_children(trials)
    opened(place, model).log_children([*trials, Child("none/trial-0", {}, status="FAILED")])
    children = runs(place, tracker, f"tags.`mlflow.parentRunId` = '{tracker.run_id}'")
    assert sorted(c.data.tags["mlflow.runName"] for c in children) == [
        "none/trial-0",
        "student/trial-0",
        "student/trial-1",
        "student/trial-2",
    ]
    assert {c.info.status for c in children} == {"FINISHED", "FAILED"}
    assert next(
        c for c in children if c.data.tags["mlflow.runName"] == "student/trial-2"
    ).data.metrics == {"val/accuracy": 0.2}


def test_36_trials_cost_less_than_three_seconds_of_work(place: Place, model: str) -> None:
    tracker = opened(place, model)
    start = time.process_time()  # not wall time: other work on the machine is not ours
    tracker.log_children(
        Child(
            f"student/trial-{i}",
            {"val/accuracy": 0.5, "val/nll": 1.0},
            {"lr": 0.1, "t": 4},
            {"arm": "student"},
        )
        for i in range(36)
    )
    assert time.process_time() - start < 3


def test_a_child_that_was_cut_short_is_told_anew(place: Place, model: str) -> None:
    tracker = opened(place, model)
    mlflow = client(place)
    mlflow.create_run(
        tracker.experiment, tags={"mlflow.parentRunId": tracker.run_id}, run_name="student/trial-0"
    )
    opened(place, model).log_children([Child("student/trial-0", {"val/accuracy": 0.5})])
    [child] = runs(place, tracker, f"tags.`mlflow.parentRunId` = '{tracker.run_id}'")
    assert child.data.metrics == {"val/accuracy": 0.5}


def test_a_run_whose_process_died_is_marked_killed_and_one_that_lives_is_left(
    place: Place, model: str
) -> None:
    dead, alive = opened(place, model, "dead"), opened(place, model, "alive")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    client(place).set_tag(dead.run_id, owner.PID, str(gone.pid))
    opened(place, model, "new")
    status = {r.info.run_id: r.info.status for r in runs(place, dead)}
    assert (status[dead.run_id], status[alive.run_id]) == ("KILLED", "RUNNING")


def test_a_process_that_got_a_dead_ones_number_is_not_taken_for_it(tmp_path: Path) -> None:
    here = Workspace(tmp_path / "here")
    mine = owner.tags(here)
    assert not owner.is_dead(mine, here)
    assert owner.is_dead({**mine, owner.BORN: "1"}, here)


def test_another_hosts_run_is_left_alone_unless_its_workspace_is_this_one(
    place: Place, model: str
) -> None:
    theirs = opened(place, model, "one key")
    client(place).set_tag(theirs.run_id, owner.HOST, "another")
    client(place).set_tag(theirs.run_id, owner.WORKSPACE, "a clone's")
    mine = opened(place, model, "one key")
    assert (mine.resumed, mine.run_id != theirs.run_id) == (False, True)
    opened(place, model, "another key")
    assert client(place).get_run(theirs.run_id).info.status == "RUNNING"
    mine.finish()
    here = owner.tags(theirs.workspace)[owner.WORKSPACE]
    client(place).set_tag(theirs.run_id, owner.WORKSPACE, here)
    assert opened(place, model, "one key").run_id == theirs.run_id, "its host was lost"
    client(place).set_tag(theirs.run_id, owner.HOST, "another")
    opened(place, model, "another key")
    assert client(place).get_run(theirs.run_id).info.status == "KILLED"


def test_a_failed_run_says_why_without_secrets(place: Place, model: str) -> None:
    tracker = opened(place, model)
    tracker.fail("cannot reach https://ann:hunter2@host")
    [run] = runs(place, tracker)
    assert run.info.status == "FAILED"
    assert "hunter2" not in run.data.tags["stillhouse.failure"]


def test_what_mlflow_could_not_take_waits_and_arrives_once(place: Place, model: str) -> None:
    tracker = opened(place, model)
    with away(place):
        tracker.log_step("distill", {"val/accuracy": 0.9})
        assert tracker.lost
        tracker.log_children([Child("student/trial-0", {"val/accuracy": 0.5})])
        tracker.finish()
    assert len(waiting(Workspace(place.root))) == 1
    tracker.replay()
    assert waiting(Workspace(place.root)) == []
    parent, child = sorted(runs(place, tracker), key=lambda r: "mlflow.parentRunId" in r.data.tags)
    assert (parent.data.metrics, child.data.metrics, parent.info.status) == (
        {"val/accuracy": 0.9},
        {"val/accuracy": 0.5},
        "FINISHED",
    )
    assert len(client(place).get_metric_history(tracker.run_id, "val/accuracy")) == 1


def test_the_next_run_tells_what_an_earlier_one_left(place: Place, model: str) -> None:
    tracker = opened(place, model, "first")
    with away(place):
        tracker.log_step("distill", {"val/accuracy": 0.7})
    opened(place, model, "second")
    assert next(
        r for r in runs(place, tracker) if r.info.run_id == tracker.run_id
    ).data.metrics == {"val/accuracy": 0.7}


def test_settings_are_flat_and_their_secrets_hidden() -> None:
    settings = {
        "prepare": {"source": {"name": "sql", "password": "hunter2"}},
        "plugins": [],
        "gate": {"rules": [{"a": 1}]},
        "validate": {},
    }
    assert flatten(settings) == {
        "prepare.source.name": "sql",
        "prepare.source.password": "***",
        "plugins": "[]",
        "gate.rules": "[{'a': 1}]",
        "validate": "{}",
    }


def test_artifacts_lie_in_the_workspace(place: Place, model: str) -> None:
    tracker = opened(place, model)
    Workspace(place.root).write_bytes("receipt.json", b"{}")
    tracker.log_file(str(place.root / "receipt.json"), "receipt")
    assert [p.name for p in (place.root / ".stillhouse" / "mlartifacts").rglob("receipt.json")] == [
        "receipt.json"
    ]


def test_a_run_that_another_living_process_has_open_is_left_to_it(place: Place, model: str) -> None:
    theirs = opened(place, model, "one key")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        tags = {owner.PID: str(other.pid), owner.BORN: owner.started(other.pid)}
        for name, value in tags.items():
            client(place).set_tag(theirs.run_id, name, value)
        mine = opened(place, model, "one key")
        assert (mine.resumed, mine.run_id != theirs.run_id) == (False, True)
        assert opened(place, model, "one key").run_id == mine.run_id
        other.kill()
    assert opened(place, model, "one key").run_id == theirs.run_id, "its owner is gone"
