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

if not all(databases._kept(package).is_file() for package in ("mlflow", "prefect")):
    pytest.skip("`make setup` has not made the empty databases", allow_module_level=True)


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
