"""Killed, or refused by a full disk, at every n-th system call of each writer."""

from pathlib import Path

import pytest
from faults import syscalls
from faults.tally import TALLY
from faults.test_rooms import expected, fresh


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not syscalls.usable():
        TALLY.numbers["syscall tests skipped: no strace or no right to trace"] = 1
        pytest.skip("strace is missing, or may not trace here")
    return tmp_path_factory.mktemp("syscalls")


def through(name: str, place: Path, most: int, do: str = "signal=KILL") -> int:
    struck, broken = syscalls.kill_through(
        name, lambda: fresh(name, place), expected(name, place), most=most, do=do
    )
    assert broken == []
    return struck


def test_a_writer_killed_at_any_of_its_calls_shows_old_or_new(place: Path) -> None:
    assert through("writer", place, 12) >= 10


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("writer", 60),
        ("body", 90),
        ("checkpoint", 80),
        ("knowledge", 100),
        ("journal", 120),
        ("append", 60),
        ("tracking", 40),
        ("release", 40),
    ],
)
def test_killed_at_any_call_it_is_made_good(name: str, most: int, place: Path) -> None:
    assert through(name, place, most) >= 10


@pytest.mark.faults
@pytest.mark.parametrize("name", ["writer", "body", "checkpoint", "knowledge"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_refused_at_any_call_it_is_made_good(name: str, error: str, place: Path) -> None:
    assert through(name, place, 11, f"error={error}") >= 10
