"""What DVC is asked for: nothing that other settings made is ever served as the answer to these."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.clock import ManualClock
from stillhouse.errors import Busy, SettingsError
from stillhouse.pipeline.stages import Stages

GRAPH = """
stages:
  brew:
    cmd: "true"
    params: [brew]
    deps: [grain.txt]
    outs: [spirit.txt]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from dvc.repo import Repo

    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.chdir(tmp_path)  # DVC looks where it stands, as the commands do
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "params.yaml").write_text("brew: 1\n")
    (tmp_path / "grain.txt").write_text("barley")
    bring(tmp_path, 1)
    return tmp_path


def bring(root: Path, brew: int) -> str:
    """Return how the stage came up to date with a setting, as one command does; its output says
    what made it.
    """
    stages = Stages(root, {"params.yaml": f"brew: {brew}\n"}, lambda sentence: None)
    try:
        state = stages.up_to_date("brew")
        if state is None:
            with stages.reserved("brew"):
                (root / "spirit.txt").write_text(f"{brew} of {(root / 'grain.txt').read_text()}")
            stages.record("brew")
        return state or "ran"
    finally:
        stages.close()


def spirit(root: Path) -> str:
    return (root / "spirit.txt").read_text()


def test_another_setting_runs_and_is_not_answered_with_what_the_last_one_made(root: Path):
    assert (bring(root, 1), spirit(root)) == ("unchanged", "1 of barley")
    assert (bring(root, 2), spirit(root)) == ("ran", "2 of barley")


def test_an_earlier_setting_is_restored_from_its_own_run(root: Path):
    bring(root, 2)
    assert (bring(root, 1), spirit(root)) == ("restored", "1 of barley")
    assert (bring(root, 2), spirit(root)) == ("restored", "2 of barley")


def test_another_input_runs_and_the_first_one_is_restored(root: Path):
    (root / "grain.txt").write_text("rye")
    assert (bring(root, 1), spirit(root)) == ("ran", "1 of rye")
    (root / "grain.txt").write_text("barley")
    assert (bring(root, 1), spirit(root)) == ("restored", "1 of barley")


def test_a_deleted_or_spoilt_result_of_the_same_setting_is_put_back(root: Path):
    (root / "spirit.txt").unlink()
    assert (bring(root, 1), spirit(root)) == ("restored", "1 of barley")
    (root / "spirit.txt").write_text("water")
    assert (bring(root, 1), spirit(root)) == ("restored", "1 of barley")


@pytest.mark.parametrize("share", [0, 0.6], ids=["emptied", "cut off"])
def test_a_lock_that_a_killed_process_left_half_written_is_made_again(root: Path, share: float):
    lock = root / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: int(len(whole) * share)])
    assert (bring(root, 1), spirit(root)) == ("restored", "1 of barley")
    assert lock.read_bytes() == whole


def test_a_lock_with_a_merge_conflict_is_left_to_its_owner(root: Path):
    lock = root / "dvc.lock"
    text = "<<<<<<< ours\n" + lock.read_text()
    lock.write_text(text)
    with pytest.raises(SettingsError, match="merge conflict"):
        bring(root, 1)
    assert lock.read_text() == text


class Waiting(ManualClock):
    """A clock in whose first pause the other DVC command ends."""

    def __init__(self, ends: Callable[[], None]) -> None:
        super().__init__()
        self.ends = ends

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.ends()


def another(root: Path) -> Path:
    """Write down, as DVC does, that a living process is about to write our output."""
    user = {"pid": os.getppid(), "cmd": "dvc repro brew"}
    path = root / ".dvc" / "tmp" / "rwlock"
    path.write_text(json.dumps({"write": {str(root / "spirit.txt"): user}, "read": {}}))
    return path


def test_a_path_that_another_dvc_command_writes_is_waited_for_and_told(root: Path):
    told: list[str] = []
    list_of_users = another(root)
    stages = Stages(root, {}, told.append, Waiting(lambda: list_of_users.unlink(missing_ok=True)))
    with stages.reserved("brew"):
        assert str(root / "spirit.txt") in list_of_users.read_text()
    stages.close()
    assert len(told) == 1
    assert "dvc repro brew" in told[0]


def test_another_dvc_command_that_does_not_end_is_named(root: Path):
    another(root)
    stages = Stages(root, {}, lambda sentence: None, ManualClock())
    with pytest.raises(Busy, match="dvc repro brew"), stages.reserved("brew"):
        pytest.fail("two commands write one file")
    stages.close()


def test_a_database_of_dvcs_that_cannot_be_used_is_told_as_what_the_system_refused(root: Path):
    stages = Stages(root, {}, lambda sentence: None)
    broken = pytest.raises(OSError, match="DVC cannot use its database: disk I/O error")
    with broken, stages._locked():
        raise sqlite3.OperationalError("disk I/O error")
    assert stages.stale(["brew"]) == []  # and its lock is free again
    stages.close()


def test_a_folder_whose_file_is_spoilt_in_the_cache_too_is_made_and_kept_whole(root: Path):
    (root / "dvc.yaml").write_text(GRAPH.replace("spirit.txt", "casks"))
    (root / "dvc.lock").unlink()
    told: list[str] = []

    def made() -> str:
        stages = Stages(root, {}, told.append)
        state = stages.up_to_date("brew")
        if state is None:
            with stages.reserved("brew"):
                (root / "casks").mkdir()
                for name in ("one", "two"):
                    (root / "casks" / name).write_text(f"cask {name}")
            stages.record("brew")
        stages.close()
        return state or "ran"

    assert made() == "ran"
    [kept] = [p for p in (root / ".dvc/cache/files").rglob("*") if _holds(p, b"cask two")]
    for path in (kept, root / "casks" / "two"):
        path.chmod(0o600)
        path.write_bytes(b"cask tw0")
    kept.chmod(0o444)
    assert (made(), kept.read_bytes()) == ("ran", b"cask two")
    assert "casks differs from its recorded hash; it is made again." in told
    shutil.rmtree(root / "casks")
    assert made() == "restored"


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def test_what_is_stale_is_asked_again_when_another_dvc_command_has_ended(root: Path):
    list_of_users, told = another(root), []
    stages = Stages(root, {}, told.append, Waiting(lambda: list_of_users.unlink(missing_ok=True)))
    assert stages.stale(["brew"]) == []
    stages.close()
    assert len(told) == 1
    another(root)
    stages = Stages(root, {}, lambda sentence: None)
    with pytest.raises(Busy, match="dvc repro brew"):
        stages.up_to_date("brew")
    stages.close()
