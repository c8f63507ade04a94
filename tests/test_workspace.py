import os
import subprocess
import sys

import pytest
import torch

from stillhouse import failpoints
from stillhouse.clock import ManualClock
from stillhouse.errors import Busy, Corrupt, SourceError
from stillhouse.workspace import (
    StepFiles,
    Workspace,
    dump_json,
    dump_tensors,
    load_tensors,
    write_atomic,
)


@pytest.fixture(autouse=True)
def _disarm():
    yield
    failpoints.arm("")


@pytest.mark.parametrize(
    "point", ["workspace.before_write", "workspace.before_fsync", "workspace.before_replace"]
)
@pytest.mark.parametrize("action", ["enospc", "eio", "raise"])
def test_a_write_cut_short_leaves_the_old_file_and_no_other(tmp_path, point, action):
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    failpoints.arm(f"{point}={action}")
    with pytest.raises((OSError, failpoints.Injected)):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    lines = [
        "from stillhouse import failpoints, workspace",
        "from pathlib import Path",
        "failpoints.arm('workspace.before_replace=kill')",
    ]
    script = "\n".join([*lines, f"workspace.write_atomic(Path({str(path)!r}), b'new')"])
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert path.read_bytes() == b"old"


def test_files_are_for_their_owner_only(tmp_path):
    write_atomic(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


def test_json_is_the_same_for_the_same_value_and_has_no_nan():
    assert dump_json({"b": 1, "a": [2]}) == dump_json({"a": [2], "b": 1})
    with pytest.raises(ValueError, match="JSON"):
        dump_json(float("nan"))


def test_an_unchanged_file_is_not_written_again(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.write_if_changed("a", b"1")
    assert not workspace.write_if_changed("a", b"1")
    assert workspace.write_if_changed("a", b"2")


def test_tensors_come_back_and_give_the_same_bytes(tmp_path):
    tensors = {"b": torch.arange(6.0).view(2, 3).t(), "a": torch.tensor([1, 2])}
    data = dump_tensors(tensors, "note")
    assert data == dump_tensors(dict(reversed(tensors.items())), "note")
    write_atomic(tmp_path / "t.safetensors", data)
    back = load_tensors(tmp_path / "t.safetensors")
    assert torch.equal(back["b"], tensors["b"])


@pytest.mark.parametrize(
    "data", [b"\x80\x04\x95 not an archive", b"PK\x03\x04 zip", b"", b"\xff" * 64]
)
def test_what_is_not_safetensors_is_refused_whatever_its_name(tmp_path, data):
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(SourceError, match="safetensors"):
        load_tensors(tmp_path / "w.safetensors")


def test_a_broken_json_of_ours_is_told(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write_bytes("a.json", b"{")
    with pytest.raises(Corrupt, match="JSON"):
        workspace.read_json("a.json")


def test_one_run_at_a_time_and_the_second_is_told_for_whom_it_waits(tmp_path):
    first, told = Workspace(tmp_path), []
    second = Workspace(tmp_path, ManualClock())
    with (
        first.lock(holder="the first"),
        pytest.raises(Busy, match="the first"),
        second.lock(holder="the second", wait=1.0, waiting=told.append),
    ):
        pass
    assert len(told) == 1
    assert "the first" in told[0]
    with second.lock(holder="the second"):
        pass


def test_a_steps_new_files_are_not_yet_its_results(tmp_path):
    files = StepFiles(Workspace(tmp_path), "prepare")
    files.write_json("prepare/schema.json", {"a": 1})
    assert files.read_json("prepare/schema.json") == {"a": 1}
    assert not (tmp_path / "artifacts" / "prepare").exists()
