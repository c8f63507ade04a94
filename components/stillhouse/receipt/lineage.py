"""Where a receipt comes from: git, dvc.lock, code, versions.

Everything here is read, nothing is guessed.
"""

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.params import parse
from stillhouse.workspace import dump_json, sha256_bytes

PACKAGES = (
    "stillhouse",
    "torch",
    "numpy",
    "scikit-learn",
    "scipy",
    "optuna",
    "onnx",
    "onnxruntime",
    "great-expectations",
    "mlflow",
    "prefect",
    "dvc",
)
OURS = (
    ":(exclude)dvc.lock",
    ":(exclude)code.lock.json",
)  # a run writes them, so that they say nothing about the user's work


def git(root: Path) -> str:
    """Return the commit that `root` stands on, with `-dirty` if a tracked file differs from it, or
    "no git".
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return "no git"
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *OURS)
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *words: str) -> str | None:
    """Return what git says, or None if there is no git, no repository or no commit; fsmonitor is
    off, for it runs what the repository names.
    """
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *words],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def dvc_lock(text: str | None) -> str:
    """Return the sha256 over the clock-free entries of dvc.lock before `report`; "none" without a
    lock.

    Timing files differ from run to run; without them, two runs that computed the same things have
    the same hash.
    """
    if text is None:
        return "none"
    stages = parse(text, where="dvc.lock").get("stages") or {}
    return sha256_bytes(
        dump_json({name: _clock_free(stage) for name, stage in stages.items() if name != "report"})
    )


def _clock_free(stage: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(stage)
    for kind in ("deps", "outs"):
        if kind in stage:
            kept[kind] = [
                entry
                for entry in stage[kind]
                if not str(entry.get("path", "")).endswith(".timing.json")
            ]
    return kept


def code(lock: Mapping[str, Any] | None) -> str:
    """Return the sha256 over the steps of code.lock.json; "none" without one."""
    return "none" if lock is None else sha256_bytes(dump_json(lock.get("steps", {})))


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that made the numbers; nothing
    is imported for it.
    """
    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
