"""A disk that is really full, and memory that is really short: a clear end, and what was there
before is whole.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults import limits, rooms
from faults.flow import small
from faults.invariants import Case, Science, breaches, science
from faults.tally import TALLY
from integration.house import BIN, House

from stillhouse_flows import databases

FULL = """
import sys
from pathlib import Path
from stillhouse.workspace import write_atomic
place = Path(sys.argv[1]) / "file"
write_atomic(place, b"old" * 1000)
try:
    write_atomic(place, b"new" * 200_000)
except OSError as error:
    assert place.read_bytes() == b"old" * 1000, "the old file is gone"
    assert [p.name for p in place.parent.iterdir()] == ["file"], "something is left"
    sys.stdout.write(error.strerror)
"""


def mounts() -> bool:
    return (
        subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode
        == 0
    )


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(tmp_path: Path) -> None:
    if not mounts():
        TALLY.numbers["full disk skipped: no user namespaces"] = 1
        pytest.skip("a small disk cannot be mounted here")
    command = (
        f'mount -t tmpfs -o size=256k none "{tmp_path}" && "{sys.executable}" -c "$1" "{tmp_path}"'
    )
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command, "sh", FULL],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )
    TALLY.fault("full disk")
    assert (done.stdout, done.stderr[-500:]) == ("No space left on device", "")


def beside(what: str, source: Path, disk: Path) -> list[dict[str, Any]]:
    """Run limits.py in a mount namespace of its own, and return what it tells."""
    if not mounts():
        TALLY.numbers[f"{what} disk skipped: no user namespaces"] = 1
        pytest.skip("a disk cannot be mounted here")
    disk.mkdir()
    script = Path(__file__).with_name("limits.py")
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, script, what, source, disk],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "PYTHONPATH": str(script.parents[1])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: list[dict[str, Any]] = json.loads(done.stdout)
    TALLY.fault(f"{what} disk", count=len(told) - 1)
    return told


def unclear(told: list[dict[str, Any]]) -> list[str]:
    """Return what did not end clearly: only an end of the whole, or of ours with a message, is."""
    broken = [str(each) for each in told[:-1] if each["code"] not in (0, 1) or each["left"]]
    return TALLY.held("I11", broken + ([] if told[-1]["code"] == 0 else [f"then: {told[-1]}"]))


@pytest.mark.faults
def test_on_a_disk_that_fills_up_a_retrain_ends_clearly_and_then_goes_on(
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "a house")
    told = beside("full", house.root, tmp_path / "disk")
    assert unclear(told) == []
    assert sum(each["code"] == 1 for each in told) >= 4, told
    assert science(House(tmp_path / "kept", house.home)).files == unhurt.files


@pytest.mark.faults
def test_where_nothing_may_be_written_a_retrain_says_so_and_changes_nothing(
    tmp_path: Path, unhurt: Science
) -> None:
    house = small(tmp_path / "a house")
    assert rooms.finished(rooms.start("recorded", house.root)) == 0
    told = beside("readonly", house.root, tmp_path / "disk")
    assert unclear(told) == []
    assert "Read-only file system" in told[0]["said"]
    assert science(House(tmp_path / "disk", house.home)).files == unhurt.files


@pytest.mark.faults
def test_without_memory_a_retrain_ends_clearly_and_the_next_one_is_whole(
    tmp_path: Path, unhurt: Science
) -> None:
    house, said = small(tmp_path / "a small house"), []
    databases.seed(house.root)
    context = rooms.forks(multiprocessing.get_context("forkserver"))
    for megabytes in (1, 4, 16, 64, 128, 256, 512):
        process = context.Process(target=limits.starved, args=(str(house.root), megabytes))  # type: ignore[attr-defined]
        process.start()
        code = rooms.finished(process, 300)
        TALLY.fault("short of memory")
        said.append({"MB": megabytes, "code": code, "said": rooms.error(house.root), "left": []})
    said.append({"code": rooms.finished(rooms.start("retrain", house.root), 300), "left": []})
    assert unclear(said) == []
    assert sum(each["code"] == 1 for each in said) >= 2, said
    assert breaches(Case(house, unhurt)) == []


@pytest.mark.faults
def test_the_command_line_without_memory_ends_clearly(tmp_path: Path) -> None:
    house = small(tmp_path / "a small house")
    words = f'ulimit -v 3000000; exec "{BIN / "stillhouse"}" run --json'
    starved = house.do("sh", "-c", words)
    TALLY.fault("short of memory")
    libc = "cannot allocate memory for thread-local data: ABORT" in starved.said
    assert starved.code in (0, 1) or libc, starved.said[-2000:]
    assert "Traceback" not in starved.said
