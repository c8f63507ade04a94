"""Empty databases are copied into a workspace once, also when two first runs begin together."""

import multiprocessing
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from faults.invariants import stopped

from stillhouse import failpoints
from stillhouse.environment import HIDDEN
from stillhouse_flows import databases


def _seed(root: str, points: str, row: str) -> None:
    failpoints.arm(points)
    databases.seed(Path(root))
    with closing(sqlite3.connect(Path(root) / HIDDEN / "mlflow.db")) as database:
        database.execute(f"create table {row} (told)")


def test_the_second_of_two_first_runs_keeps_the_rows_of_the_first(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    first = context.Process(
        target=_seed, args=(str(tmp_path), "workspace.before_replace=stop", "a")
    )
    first.start()
    until = time.monotonic() + 20
    while not stopped(first.pid or 0) and time.monotonic() < until:
        time.sleep(0.01)  # it has seen that there is none, and is about to put its own in place
    second = context.Process(target=_seed, args=(str(tmp_path), "", "b"))
    second.start()
    second.join(0.5)
    assert second.is_alive()
    _wake(first)
    for process in (first, second):
        process.join(20)
        assert process.exitcode == 0
    with closing(sqlite3.connect(tmp_path / HIDDEN / "mlflow.db")) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
    assert {"a", "b", "registered_models"} <= tables


def _wake(process: "multiprocessing.process.BaseProcess") -> None:
    import os
    import signal

    os.kill(process.pid or 0, signal.SIGCONT)


def test_where_none_was_kept_it_is_made_aside_kept_and_appears_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "FOLDER", tmp_path / "nothing kept")
    target = tmp_path / HIDDEN / "mlflow.db"
    databases.seed(tmp_path, ("mlflow",))
    with closing(sqlite3.connect(target)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        assert database.execute("select count(*) from experiments").fetchone() == (0,)
    assert {"registered_models", "runs"} <= tables
    assert list((tmp_path / HIDDEN / "tmp").iterdir()) == []
    kept = sorted(p.name.partition("-")[0] for p in databases.FOLDER.iterdir())
    assert kept == ["mlflow", "prefect"]


def test_a_database_that_a_server_keeps_is_not_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    databases.seed(tmp_path, ("mlflow",))
    assert not (tmp_path / HIDDEN / "mlflow.db").exists()
