import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stillhouse.errors import ServerUnreachable
from stillhouse_flows import databases, server

pytestmark = pytest.mark.integration


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a space in its name, and the empty database that a first run copies."""
    place = tmp_path / "a workspace"
    place.mkdir()
    databases.seed(place)
    return place


def gone(pid: int, patience: float = 30.0) -> bool:
    deadline = time.monotonic() + patience
    while Path(f"/proc/{pid}/cwd").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not Path(f"/proc/{pid}/cwd").exists()


def test_a_server_is_started_once_found_again_and_stopped_by_who_started_it(root: Path):
    first = server.start(root)
    assert first.process is not None
    try:
        server.wait(first)
        second = server.start(root)
        assert (second.url, second.process) == (first.url, None)
        server.stop(second, root)
        assert server.answers(first.url)
    finally:
        server.stop(first, root)
    assert first.process.poll() is not None
    assert server.running(root) is None
    assert (root / ".stillhouse" / "prefect" / "server.log").stat().st_mode & 0o077 == 0


def test_a_server_ends_when_its_parent_is_killed(root: Path):
    lines = (
        "import pathlib, sys, time",
        "from stillhouse_flows import server",
        "print(server.start(pathlib.Path(sys.argv[1])).process.pid, flush=True)",
    )
    script = "\n".join((*lines, "time.sleep(600)"))
    parent = subprocess.Popen(
        [sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}/cwd").exists()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(child)


def test_a_server_that_cannot_start_is_told_with_the_place_of_its_log(root: Path):
    (root / ".stillhouse" / "prefect").mkdir(parents=True, exist_ok=True)
    (root / ".stillhouse" / "prefect" / "prefect.db").write_bytes(b"no database" * 100)
    broken = server.start(root)
    try:
        with pytest.raises(ServerUnreachable, match=r"server\.log") as caught:
            server.wait(broken)
    finally:
        server.stop(broken, root)
    assert caught.value.may_pass


def test_a_torn_or_old_note_of_a_server_is_not_believed(root: Path):
    note = root / server.PID_FILE
    note.parent.mkdir(parents=True, exist_ok=True)
    for text in ('{"pid": 1, "ur', "{}", '{"pid": 1, "url": "http://127.0.0.1:9/api"}'):
        note.write_text(text)
        assert server.running(root) is None
