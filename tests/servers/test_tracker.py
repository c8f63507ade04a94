"""What MLflow is told, each thing once, by a network that loses answers, on PostgreSQL."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servers.fire import place
from servers.postgres import Postgres
from servers.proxy import Fault, Kind, Proxy

from stillhouse.errors import ServerUnreachable
from stillhouse.tracking import Child, Tracker
from stillhouse.tracking.client import client
from stillhouse.tracking.spool import waiting
from stillhouse.workspace import Workspace

_numbers = itertools.count()
STRANGE = {
    "prepare": {"source": {"kinds": {"age (years)": "number", "a/../b": 1, "é\u00a0ü": 2}}},
    "words": "zero \x00 and half \ud800" + "x" * 9000,
    "list": [1.5] * 3000,
}


@pytest.fixture
def model() -> str:
    return f"told-{next(_numbers)}"


def opened(proxy: Proxy, root: Path, model: str) -> Tracker:
    return Tracker.open(place(root, proxy.url), Workspace(root), model, "key", name="retrain")


def tell(tracker: Tracker) -> None:
    """What a retrain tells."""
    tracker.log_params(STRANGE)
    tracker.log_step("teacher", {"teacher/accuracy": 0.5}, {"train_s": 1.0})
    tracker.log_children(
        Child(f"student/trial-{n}", {"val/accuracy": n / 10}, {"lr (log)": 0.1, "name": "\x00"})
        for n in range(2)
    )
    tracker.set_tags({"note \x00": "a\x00b", "long": "y" * 20_000})


def came(proxy: Proxy, model: str) -> tuple[list[tuple[str, str]], "Counter[int]"]:
    """Return (name, status) of every run, and how often each metric came."""
    mlflow = client(place(Path(), proxy.url))
    found = mlflow.get_experiment_by_name(model)
    runs: list[Any] = mlflow.search_runs([found.experiment_id])
    times = Counter(
        len(mlflow.get_metric_history(run.info.run_id, key))
        for run in runs
        for key in run.data.metrics
    )
    return sorted((r.info.run_name, r.info.status) for r in runs), times


ALL = [
    ("retrain", "FINISHED"),
    ("student/trial-0", "FINISHED"),
    ("student/trial-1", "FINISHED"),
]
LOST: tuple[tuple[Kind, str], ...] = (
    ("drop_after", "runs/(create|log-batch|update)"),
    ("unavailable_after", "runs/(create|log-batch|update)"),
    ("half", "runs/(create|log-batch|update)"),
    ("duplicate", "runs/(create|log-batch|update)"),
    ("drop_before", "runs/(create|log-batch|update)"),
)


@pytest.mark.parametrize(("kind", "path"), LOST)
def test_everything_arrives_once_although_answers_are_lost(
    kind: Kind, path: str, proxy: Proxy, tmp_path: Path, model: str
) -> None:
    proxy.faults = [Fault(kind, path, frozenset(range(2, 90, 3)))]
    tracker = opened(proxy, tmp_path, model)
    tell(tracker)
    proxy.quiet()
    tracker.replay()
    tracker.finish()
    assert proxy.struck[kind] >= 1
    assert came(proxy, model) == (ALL, Counter({1: 4}))
    assert waiting(Workspace(tmp_path)) == []


def test_while_mlflow_is_away_all_is_kept_and_told_later_once(
    proxy: Proxy, tmp_path: Path, model: str
) -> None:
    tracker = opened(proxy, tmp_path, model)
    with proxy.away():
        tell(tracker)
        tracker.finish()
        with pytest.raises(ServerUnreachable):
            tracker.replay()
        with pytest.raises(ServerUnreachable):
            opened(proxy, tmp_path, model)
    assert len(waiting(Workspace(tmp_path))) == 1
    assert came(proxy, model)[0] == [("retrain", "RUNNING")]
    opened(proxy, tmp_path, model).finish()
    assert came(proxy, model) == (ALL, Counter({1: 4}))
    assert waiting(Workspace(tmp_path)) == []


def test_postgresql_restarted_while_runs_are_told_is_no_news(
    proxy: Proxy, database: Postgres, tmp_path: Path, model: str
) -> None:
    tracker = opened(proxy, tmp_path, model)
    database.restart()
    tell(tracker)
    database.restart()
    tracker.replay()
    tracker.finish()
    assert came(proxy, model) == (ALL, Counter({1: 4}))


def test_records_of_a_run_that_a_restored_database_does_not_know_are_set_aside(
    proxy: Proxy, tmp_path: Path, model: str
) -> None:
    tracker = opened(proxy, tmp_path, model)
    with proxy.away():
        tracker.log_metrics({"val/accuracy": 0.5})
    [spool] = waiting(Workspace(tmp_path))
    path = tmp_path / spool.name
    path.rename(path.with_name(f"{'0' * 32}.jsonl"))
    opened(proxy, tmp_path, model).finish()
    assert waiting(Workspace(tmp_path)) == []
    assert [p.name for p in path.parent.glob("untold/*")] == [f"{'0' * 32}.jsonl"]


def test_a_retrain_that_goes_on_tells_the_same_value_no_second_time(
    proxy: Proxy, tmp_path: Path, model: str
) -> None:
    tell(opened(proxy, tmp_path, model))
    again = opened(proxy, tmp_path, model)
    tell(again)
    again.log_step("distill", {"val/accuracy": 0.75})
    again.finish()
    assert came(proxy, model) == (ALL, Counter({1: 5}))
