import subprocess

import pytest

from stillhouse.errors import SettingsError
from stillhouse.receipt import lineage

LOCK = """schema: '2.0'
stages:
  prepare:
    cmd: stillhouse step prepare
    outs:
    - {path: artifacts/prepare/test.safetensors, hash: md5, md5: aaa, size: 1}
    - {path: artifacts/prepare/prepare.timing.json, hash: md5, md5: TIME, size: 1}
  report:
    cmd: stillhouse step report
    outs:
    - {path: artifacts/report/receipt.json, hash: md5, md5: REPORT, size: 1}
"""


def git(root, *words):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
        cwd=root,
        check=True,
        capture_output=True,
    )


def test_clocks_and_the_report_itself_do_not_change_the_hash_of_the_lock():
    first = lineage.dvc_lock(LOCK)
    assert first == lineage.dvc_lock(LOCK.replace("TIME", "other").replace("REPORT", "other"))
    assert first != lineage.dvc_lock(LOCK.replace("aaa", "bbb"))
    assert lineage.dvc_lock(None) == "none"


def test_a_broken_lock_is_refused_with_its_line():
    with pytest.raises(SettingsError, match=r"dvc\.lock, line"):
        lineage.dvc_lock("stages: [")


def test_only_the_steps_of_the_code_lock_count():
    assert lineage.code({"steps": {"a": "1"}, "files": {"x": "2"}}) == lineage.code(
        {"steps": {"a": "1"}, "files": {}}
    )
    assert lineage.code({"steps": {"a": "1"}}) != lineage.code({"steps": {"a": "2"}})
    assert lineage.code(None) == "none"


def test_a_folder_without_git_says_so(tmp_path):
    assert lineage.git(tmp_path) == "no git"


def test_a_changed_file_makes_a_commit_dirty_but_the_locks_of_a_run_do_not(tmp_path):
    git(tmp_path, "init")
    assert lineage.git(tmp_path) == "no git"
    for name in ("params.yaml", "dvc.lock", "code.lock.json"):
        (tmp_path / name).write_text("a: 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = lineage.git(tmp_path)
    assert len(commit) == 40
    (tmp_path / "dvc.lock").write_text("b: 1\n")
    (tmp_path / "code.lock.json").write_text("{}\n")
    assert lineage.git(tmp_path) == commit
    (tmp_path / "params.yaml").write_text("b: 1\n")
    assert lineage.git(tmp_path) == f"{commit}-dirty"


def test_versions_are_told_without_importing_what_they_are_of():
    found = lineage.versions()
    assert found["python"][0] == "3"
    assert found["torch"] != "not installed"
