"""A commit in a folder of its own, with data that DVC tracks: real git, real DVC, no step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.pipeline import checkout
from stillhouse.steps.step import Step

GIT = ("git", "-c", "user.name=A Tester", "-c", "user.email=tester@example.org")
TABLE = "a,b\n1,2\n"


def do(folder: Path, *words: str) -> str:
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def dvc(folder: Path, *words: str) -> str:
    return do(folder, sys.executable, "-m", "dvc", *words)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in a subfolder of a repository: rows.csv is DVC's, notes.csv nobody's."""
    top = tmp_path_factory.mktemp("a repository")
    root = top / "the project"
    root.mkdir()
    do(top, "git", "init", "-q")
    dvc(root, "init", "--subdir", "-q")
    (root / "rows.csv").write_text(TABLE)
    dvc(root, "add", "-q", "rows.csv")
    (root / "params.yaml").write_text("model: a\n")
    do(top, "git", "add", "-A")
    do(top, *GIT, "commit", "-qm", "First")
    (root / "rows.csv").write_text(TABLE + "3,4\n")
    dvc(root, "add", "-q", "rows.csv")
    (root / "params.yaml").write_text("model: b\n")
    do(top, *GIT, "commit", "-qam", "Second")
    (root / "notes.csv").write_text("c\n5\n")
    return root


def first_commit(root: Path) -> str:
    return do(root, "git", "rev-list", "--max-parents=0", "HEAD")


def test_a_commit_comes_with_its_own_data_and_the_project_stays_as_it_is(
    repository: Path, tmp_path: Path
):
    before = do(repository, "git", "status", "--porcelain"), (repository / "rows.csv").read_text()
    place = tmp_path / "a copy"
    copy = checkout.checkout(repository, first_commit(repository), place)
    assert copy == place / "the project"
    assert (copy / "params.yaml").read_text() == "model: a\n"
    assert checkout.pull(repository, copy, dict(os.environ)) == ["rows.csv.dvc"]
    assert (copy / "rows.csv").read_text() == TABLE
    assert before == (
        do(repository, "git", "status", "--porcelain"),
        (repository / "rows.csv").read_text(),
    )
    assert "worktree" not in do(repository, "git", "worktree", "list", "--porcelain")[9:]


def test_data_that_only_the_remote_has_is_pulled_from_there_though_its_address_is_relative(
    repository: Path, tmp_path: Path
):
    clone = tmp_path / "another's clone"
    do(tmp_path, "git", "clone", "-q", str(repository.parent), str(clone))
    project = clone / repository.name
    store = os.path.relpath(repository / ".dvc" / "cache", project)  # a remote looks like a cache
    dvc(project, "remote", "add", "-q", "-d", "store", store)
    assert ".." in (project / ".dvc" / "config").read_text()
    copy = checkout.checkout(project, first_commit(project), tmp_path / "copy")
    assert not (project / ".dvc" / "cache").exists()
    checkout.pull(project, copy, dict(os.environ))
    assert (copy / "rows.csv").read_text() == TABLE


def test_data_that_nobody_has_is_said_to_be_missing(repository: Path, tmp_path: Path):
    clone = tmp_path / "a clone"
    do(tmp_path, "git", "clone", "-q", str(repository.parent), str(clone))
    project = clone / repository.name
    copy = checkout.checkout(project, first_commit(project), tmp_path / "copy")
    with pytest.raises(StillhouseError, match="DVC does not have the data") as refused:
        checkout.pull(project, copy, dict(os.environ))
    assert "dvc push" in str(refused.value)


@pytest.mark.parametrize("commit", ["0" * 40, "HEAD", "--upload-pack=touch x", "main"])
def test_what_is_not_a_commit_of_the_repository_is_refused(
    repository: Path, tmp_path: Path, commit: str
):
    with pytest.raises(UsageError, match="does not have the commit"):
        checkout.checkout(repository, commit, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_git_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="not under git"):
        checkout.checkout(tmp_path, "0" * 40, tmp_path / "copy")


def test_no_hook_of_the_users_runs_at_the_checkout(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same hook runs in a plain clone: it would have been seen."""
    hooks, mark = tmp_path / "hooks", tmp_path / "mark"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\nhooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    checkout.checkout(repository, first_commit(repository), tmp_path / "copy")
    assert not mark.exists()
    do(tmp_path, "git", "clone", "-q", str(repository.parent), "plain")
    assert mark.exists()


def test_a_named_file_that_git_and_dvc_do_not_have_is_copied_and_told(
    repository: Path, tmp_path: Path
):
    named = {"path": "notes.csv", "other": "params.yaml", "absent": "nowhere.csv"}
    step = Step("prepare", lambda job: {}, (), (), (), lambda params: None, lambda params: named)
    copy, said = tmp_path / "copy", []
    copy.mkdir()
    (copy / "params.yaml").write_text("model: old\n")
    checkout.named_files(repository, copy, {"prepare": step}, {}, said.append)
    assert (copy / "notes.csv").read_text() == "c\n5\n"
    assert (copy / "params.yaml").read_text() == "model: old\n"
    assert said == ["notes.csv is under neither git nor DVC: taken as it is today."]


def test_a_repository_that_holds_stillhouse_itself_is_run_by_its_own_code(tmp_path: Path):
    top, copy = tmp_path, tmp_path / "examples" / "one"
    copy.mkdir(parents=True)
    assert checkout.code_of(copy, top) == ()
    (top / "components" / "stillhouse").mkdir(parents=True)
    (top / "components" / "stillhouse" / "__init__.py").touch()
    assert checkout.code_of(copy, top) == (top / "components", top / "flows")
    assert checkout.code_of(copy, copy) == ()
