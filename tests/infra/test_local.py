"""The parts of `make team-local` that need no server."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from integration.house import REPOSITORY

sys.path.append(str(REPOSITORY / "infra" / "local"))

import backup
import secrets_file
from processes import Daemon
from stack import NotHealthy, Stack

SLEEPER = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"


@pytest.fixture
def daemon(tmp_path: Path):
    made = Daemon("sleeper", tmp_path)
    yield made
    made.stop()


def test_a_process_is_found_again_and_ends_with_all_that_it_started(daemon: Daemon):
    assert daemon.process() is None
    daemon.start([sys.executable, "-c", SLEEPER], {}, Path("/"))
    found = Daemon(daemon.name, daemon.folder).process()
    assert found is not None
    while not (children := found.children()):
        assert found.is_running()
    daemon.start(["false"], {}, Path("/"))  # it lives: nothing is started
    again = daemon.process()
    assert again is not None
    assert again.pid == found.pid
    assert daemon.stop() is True
    assert not found.is_running()
    assert not children[0].is_running()
    assert (daemon.process(), daemon.stop()) == (None, False)


def test_a_pid_that_another_process_has_by_now_is_left_alone(daemon: Daemon):
    other = subprocess.Popen(["sleep", "60"])
    try:
        daemon.start([sys.executable, "-c", "pass"], {}, Path("/"))
        note = daemon.folder / "run" / "sleeper.json"
        born = json.loads(note.read_text())["born"]
        note.write_text(json.dumps({"pid": other.pid, "born": born - 3600}))
        assert daemon.process() is None
        assert daemon.stop() is False
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_secrets_are_made_once_and_nobody_else_reads_them(tmp_path: Path):
    first = secrets_file.read(tmp_path / "stack")
    assert secrets_file.read(tmp_path / "stack") == first
    assert len(set(first.values())) == len(secrets_file.NAMES)
    assert min(map(len, first.values())) >= 32
    path = tmp_path / "stack" / "secrets.env"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_ports_that_are_taken_are_replaced_and_then_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        busy = taken.getsockname()[1]
        monkeypatch.setattr("stack.PORTS", {"mlflow": busy})
        chosen = Stack(tmp_path, tmp_path).ports["mlflow"]
    assert chosen != busy
    assert Stack(tmp_path, tmp_path).ports["mlflow"] == chosen


def test_addresses_hold_no_password(tmp_path: Path):
    stack = Stack(tmp_path, tmp_path)
    told = stack.postgres.url("mlflow") + stack.url("mlflow") + str(stack.postgres.home)
    assert not [secret for secret in stack.secrets.values() if secret in told]
    assert stack.secrets["POSTGRES_PASSWORD"] in stack.postgres.env.values()


@pytest.mark.parametrize("kept", [0, 10, 4000])
def test_a_file_that_was_cut_off_is_refused_before_anything_is_stopped(tmp_path: Path, kept: int):
    whole = tmp_path / "whole.tar.gz"
    with tarfile.open(whole, "w:gz") as tar:
        for name in ("databases/mlflow", "artifacts/x"):
            entry = tarfile.TarInfo(name)
            entry.size = 4000
            tar.addfile(entry, io.BytesIO(os.urandom(4000)))
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:kept])
    for file in (tmp_path / "cut", whole):  # the whole one has no note: it was never finished
        with pytest.raises(NotHealthy, match="no back-up of a stack"):
            backup.restore(Stack(tmp_path, tmp_path), file)


def test_a_back_up_of_another_format_is_refused(tmp_path: Path):
    file = tmp_path / "other.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        data = b'{"format": "stillhouse-team-backup 9"}'
        entry = tarfile.TarInfo("note.json")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(NotHealthy, match="stillhouse-team-backup 9"):
        backup.restore(Stack(tmp_path, tmp_path), file)


def test_a_stack_that_does_not_run_is_told_part_by_part(tmp_path: Path):
    command = [sys.executable, REPOSITORY / "infra/local/team.py", "--folder", tmp_path / "none"]
    done = subprocess.run([*command, "health"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("✕")) == (1, 4)
    refused = subprocess.run(
        [*command, "backup", tmp_path / "file"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "start the stack first" in refused.stderr
    assert not (tmp_path / "file").exists()
