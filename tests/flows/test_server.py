import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from stillhouse import environment
from stillhouse.errors import ServerUnreachable
from stillhouse.workspace import Workspace
from stillhouse_flows import databases, orphans, server
from stillhouse_flows.orphans import _ask
from stillhouse_flows.run import _early

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


@dataclass
class Kept:
    """A workspace and its server; the tests go on where the one before left them."""

    root: Path
    server: server.Server


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    root = tmp_path_factory.mktemp("with a space") / "a workspace"
    root.mkdir()
    databases.seed(root)
    made = Kept(root, server.start(root))
    try:
        server.wait(made.server)
        yield made
    finally:
        server.stop(made.server, root)


def test_a_server_is_started_once_and_found_again(kept: Kept):
    assert kept.server.process is not None
    second = server.start(kept.root)
    assert (second.url, second.process) == (kept.server.url, None)
    server.stop(second, kept.root)
    assert server.answers(kept.server.url)
    assert (kept.root / ".stillhouse" / "prefect" / "server.log").stat().st_mode & 0o077 == 0


def test_a_terminal_that_interrupts_us_leaves_the_server_to_us(kept: Kept):
    assert kept.server.process is not None
    ours, its = os.getpgid(0), os.getpgid(kept.server.process.pid)
    assert ours != its, "a Ctrl-C goes to the whole group: the run would ask a server that is gone"


def test_runs_that_a_killed_one_left_open_are_closed_and_those_of_others_are_not(
    kept: Kept, tmp_path: Path
):
    url, running = kept.server.url, {"type": "RUNNING", "name": "Running"}
    flow = _ask(f"{url}/flows/", {"name": "retrain"})["id"]
    shutil.copytree(kept.root / ".stillhouse" / "prefect", tmp_path / ".stillhouse" / "prefect")
    tags = [orphans.mark(kept.root), orphans.mark(tmp_path), ""]
    assert len(set(tags)) == 3, "a copied folder is a workspace of its own"
    assert orphans.mark(kept.root) == tags[0]
    runs = [
        _ask(
            f"{url}/flow_runs/",
            {"flow_id": flow, "state": running, "tags": [tag] if tag else []},
        )["id"]
        for tag in tags
    ]

    def states() -> list[str]:
        found = _ask(f"{url}/flow_runs/filter", {"flow_runs": {"id": {"any_": runs}}})
        by_id = {run["id"]: run["state"]["type"] for run in found}
        return [by_id[run] for run in runs]

    assert [orphans.close(url, tags[0]), orphans.close(url, tags[0])] == [1, 0]
    assert states() == ["CRASHED", "RUNNING", "RUNNING"]
    assert orphans.close(url) == 2, "a server of our own has no runs but ours"
    assert states() == ["CRASHED"] * 3


def test_a_server_is_stopped_by_who_started_it(kept: Kept):
    assert kept.server.process is not None
    server.stop(kept.server, kept.root)
    assert kept.server.process.poll() is not None
    assert server.running(kept.root) is None


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


def test_of_two_first_commands_the_one_that_waits_starts_no_server_and_finds_the_work_done(
    root: Path,
):
    (root / "params.yaml").write_text("model: digits\n")
    with ThreadPoolExecutor(1) as second, ExitStack() as stack:
        with Workspace(root).lock(holder="the first"):
            started = second.submit(_early, environment.place(root), stack)
            time.sleep(0.3)
            assert not started.done()
            (root / "dvc.lock").touch()
        assert started.result(30) is None
    assert not (root / server.PID_FILE).exists()
    (root / "dvc.lock").unlink()
    with ExitStack() as stack:  # the control: alone, it starts one
        assert _early(environment.place(root), stack) is not None
        assert (root / server.PID_FILE).exists()
