"""A run beside a step that somebody started by hand: whoever comes second waits, says for whom, and
finds what the first one made.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults import flow, rooms
from faults.invariants import stopped
from integration.house import BIN, WARNINGS, House

from stillhouse_flows import databases

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]


@contextmanager
def typed(house: House, *words: str, points: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """A command in a terminal of its own; what it says lies in `said(house)`."""
    env = {
        "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(house.home),
        "STILLHOUSE_FAILPOINTS": points,
    }
    with (house.home / "said").open("wb") as out:
        process = subprocess.Popen(
            [BIN / "stillhouse", *words], cwd=house.root, env=env, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(house: House) -> str:
    return " ".join((house.home / "said").read_text().split())


def until(happens: Callable[[], object], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = flow.small(tmp_path / "a house")
    databases.seed(made.root)
    made.stillhouse("lock")
    return made


def test_a_step_by_hand_waits_for_the_run_and_changes_nothing(house: House) -> None:
    run = rooms.start("retrain", house.root, "training.batch=stop@9")
    until(lambda: stopped(run.pid or 0))
    with typed(house, "step", "prepare") as step:
        until(lambda: f"pid {run.pid}" in said(house))
        assert step.poll() is None
        os.kill(run.pid or 0, signal.SIGCONT)
        assert rooms.finished(run, 300) == 0, rooms.error(house.root)
        assert step.wait(120) == 0, said(house)
    assert house.json("run")["outcome"] == "unchanged"


def test_a_run_waits_for_a_step_by_hand_and_takes_over_what_it_made(house: House) -> None:
    for name in ("prepare", "validate"):
        house.stillhouse("step", name)
    with typed(house, "step", "teacher", points="training.batch=stop@9") as step:
        until(lambda: stopped(step.pid))
        run = rooms.start("retrain", house.root)
        run.join(3)
        assert run.exitcode is None
        lock = (house.root / ".stillhouse" / "lock").read_text()
        assert re.search(rf"step teacher.*pid {step.pid}", lock)
        os.kill(step.pid, signal.SIGCONT)
        assert step.wait(120) == 0, said(house)
    assert rooms.finished(run, 300) == 0, rooms.error(house.root)
    assert house.ledger().champion == 1
    assert house.json("run")["outcome"] == "unchanged"
