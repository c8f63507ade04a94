"""A commit of the project in a folder of its own: code and settings from git, data from DVC."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse import environment
from stillhouse.config import file_of
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.steps.step import Step

COMMIT = re.compile(r"[0-9a-f]{40,64}")
CACHE = "stillhouse-cache"  # the project's own cache, as a remote of the copy
QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


def checkout(root: Path, commit: str, place: Path) -> Path:
    """Clone the repository around `root` and check out a commit; return the project's folder in it.

    The clone borrows the repository's objects, and no hook runs.

    Args:
        root: The project's folder, at the repository's top or below.
        commit: The full hash.
        place: The clone's folder; it must not be there yet.

    Raises:
        UsageError: There is no repository here, or it does not have the commit.
    """
    top, prefix = (_git(root, "rev-parse", f"--show-{word}") for word in ("toplevel", "prefix"))
    if top is None or prefix is None:
        raise UsageError(
            "the project is not under git.", where=str(root), fix="Reproduce it in a clone."
        )
    known = COMMIT.fullmatch(commit) and _git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    if known is None:
        raise UsageError(
            f"the repository does not have the commit {commit[:12]}.",
            where=top,
            fix="Run `git fetch --all`; ask whoever registered the version to push it.",
        )
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for words in (
        ("clone", "--quiet", "--shared", "--no-checkout", "--", top, str(place)),
        ("-C", str(place), "checkout", "--quiet", "--detach", commit),
    ):
        done = _ask(root, *words)
        if done.returncode:
            raise StillhouseError(
                f"git could not check it out: {done.stderr.strip()[-300:]}", where=str(place)
            )
    return place / prefix


def pull(root: Path, copy: Path, env: Mapping[str, str]) -> list[str]:
    """Fetch what the commit's `.dvc` files name: from the project's cache, else from its remotes;
    return their names.

    Args:
        root: The project's folder; its remotes and their local settings are taken over.
        copy: The copy's.
        env: For DVC's process.

    Raises:
        StillhouseError: The data is neither here nor there.
    """
    names = (_git(copy, "ls-files", "--", "*.dvc") or "").splitlines()
    if not names:
        return []
    _remotes(root, copy)
    for remote in (("--remote", CACHE), ()):
        command = [sys.executable, "-m", "dvc", "pull", "--quiet", *remote, "--", *names]
        done = subprocess.run(
            command, cwd=copy, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return names
    raise StillhouseError(
        f"DVC does not have the data of that commit: {done.stderr.strip()[-300:]}",
        where=", ".join(names),
        fix="Ask whoever has it for a `dvc push`.",
    )


def _remotes(root: Path, copy: Path) -> None:
    """Give the copy the project's remotes, addresses resolved, and the project's cache as one."""
    from dvc.config import Config
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        remotes = {name: dict(settings) for name, settings in repo.config["remote"].items()}
        default, cache = repo.config["core"].get("remote"), Path(repo.cache.local.path).parents[1]
    with Config(str(copy / ".dvc")).edit("local") as local:
        local["remote"] = {**remotes, CACHE: {"url": str(cache)}}
        if default:
            local["core"]["remote"] = default


def named_files(
    root: Path,
    copy: Path,
    steps: Mapping[str, Step],
    params: Mapping[str, Any],
    told: Callable[[str], None],
) -> None:
    """Copy the files that settings name and that neither git nor DVC brought, as they are today.

    Args:
        root: The project's folder, which has them.
        copy: The copy's.
        steps: Say which settings are files.
        params: The settings.
        told: Is told of each.
    """
    for step in steps.values():
        for path in step.sources(params).values():
            here, there = file_of(path, root), file_of(path, copy)
            if there.exists() or not here.exists():
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if here.is_dir() else shutil.copyfile)(here, there)
            told(f"{path} is under neither git nor DVC: taken as it is today.")


def code_of(copy: Path, top: Path) -> Sequence[Path]:
    """Return the roots of Stillhouse's own sources if the repository holds them: a version is made
    again by its own code. Empty where Stillhouse is installed.
    """
    for place in (copy, *copy.parents):
        if (place / "components" / "stillhouse" / "__init__.py").is_file():
            return place / "components", place / "flows"
        if place == top:
            break
    return ()


def _ask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = environment.child(folder, GIT_LFS_SKIP_SMUDGE="1")
    return subprocess.run(
        ["git", *QUIET, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None if it says no."""
    try:
        done = _ask(folder, *words)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
