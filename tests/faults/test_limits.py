"""A disk that is really full, and memory that is really short: a clear end, and what was there
before is whole.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.flow import run, small
from faults.invariants import Case, breaches, science
from faults.tally import TALLY
from integration.house import BIN

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


@pytest.mark.faults
@pytest.mark.parametrize("gigabytes", [2, 3])
def test_without_memory_a_run_ends_clearly_and_the_next_one_is_whole(
    gigabytes: int, tmp_path: Path
) -> None:
    house = small(tmp_path / "a small house")
    words = f'ulimit -v {gigabytes * 1_000_000}; exec "{BIN / "stillhouse"}" run --json'
    env = {
        "PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(house.home),
        "DVC_SITE_CACHE_DIR": str(house.root / ".stillhouse/dvc"),
    }
    starved = subprocess.run(
        ["sh", "-c", words],
        cwd=house.root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    TALLY.fault("short of memory")
    assert starved.returncode in (0, 1, -6, -9, -11, 134, 139), starved.stderr[-2000:]
    done = run(house)
    assert done.done.code == 0, done.done.said[-2000:]
    whole = small(tmp_path / "a whole house")
    assert run(whole).done.code == 0
    assert breaches(Case(house, science(whole), ({}, 0), (), [done.seconds])) == []
