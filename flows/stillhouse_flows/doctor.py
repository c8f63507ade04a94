"""`stillhouse doctor`: what is wrong with this machine or workspace, and how to mend it."""

import json
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from stillhouse.environment import HIDDEN, Place
from stillhouse.errors import StillhouseError
from stillhouse_flows import reach, server

TRIED = {
    "torch": "2.13",
    "mlflow": "3.17",
    "prefect": "3.9",
    "dvc": "3.67",
    "optuna": "5.",
    "great-expectations": "1.24",
    "onnx": "1.",
    "onnxruntime": "1.",
}
ROOM = 2_000_000_000


def _python(place: Place) -> tuple[bool, str, str]:
    version = sys.version_info[:2]
    return (
        (3, 11) <= version < (3, 14),
        f"Python {version[0]}.{version[1]}",
        "Use Python 3.11 to 3.13: make PYTHON=/path/to/python3.12",
    )


def _packages(place: Place) -> tuple[bool, str, str]:
    odd = [
        f"{name} {metadata.version(name)}"
        for name, start in TRIED.items()
        if not metadata.version(name).startswith(start)
    ]
    return (
        not odd,
        ", ".join(odd) or f"{len(TRIED)} main packages as tried together",
        "make clean setup",
    )


def _disk(place: Place) -> tuple[bool, str, str]:
    free = shutil.disk_usage(place.root).free
    return (
        free > ROOM,
        f"{free / 1e9:.1f} GB free",
        "Make room: a run needs a few hundred MB, `dvc gc -w` frees old results.",
    )


def _writable(place: Place) -> tuple[bool, str, str]:
    from stillhouse.workspace import Workspace

    try:
        Workspace(place.root).write_bytes(f"{HIDDEN}/doctor", b"")
        Workspace(place.root).remove(f"{HIDDEN}/doctor")
    except OSError as error:
        return (
            False,
            f"{place.root}: {error.strerror}",
            "Give yourself the right to write here, or go to another folder.",
        )
    return True, str(place.root), ""


def _settings(place: Place) -> tuple[bool, str, str]:
    from stillhouse.pipeline import Project

    try:
        project = Project.open(place.root)
    except StillhouseError as error:
        return False, error.what, error.fix or "Mend params.yaml."
    return True, f"params.yaml: model {project.model}, {len(project.steps)} sections", ""


def _dvc(place: Place) -> tuple[bool, str, str]:
    lock = place.root / ".dvc" / "tmp" / "rwlock"
    if not (place.root / ".dvc").is_dir():
        return False, "no .dvc folder", "Run `dvc init` here (`dvc init --no-scm` without git)."
    if lock.is_file():
        try:
            json.loads(lock.read_bytes() or b"")
        except ValueError:
            return (
                False,
                ".dvc/tmp/rwlock is torn",
                "If no DVC command runs, remove .dvc/tmp/rwlock.",
            )
    return True, "repository found, locks whole", ""


def _mlflow(place: Place) -> tuple[bool, str, str]:
    from stillhouse import tracking

    try:
        reach.probes(place).require("MLflow")
        tracking.warm(place)
    except StillhouseError as error:
        return False, error.what, error.fix or "Check MLFLOW_TRACKING_URI."
    return True, "answers", ""


def _ledger(place: Place) -> tuple[bool, str, str]:
    from stillhouse.pipeline import Project

    try:
        project = Project.open(place.root)
        from stillhouse.release.status import problems

        found = problems(project.registry)
    except StillhouseError as error:
        return False, error.what, error.fix or "See the lines above."
    return (
        not found,
        " ".join(found) or f"{project.model}: whole, and continues what was seen from here",
        "Restore MLflow's newest back-up, or settle it as the sentence says.",
    )


def _prefect(place: Place) -> tuple[bool, str, str]:
    if not place.prefect_url:
        return True, "a server of this workspace is started when it is needed", ""
    return (
        server.answers(place.prefect_url),
        server.plain(place.prefect_url),
        "Start it, or unset PREFECT_API_URL.",
    )


CHECKS: dict[str, Callable[[Place], tuple[bool, str, str]]] = {
    "python": _python,
    "packages": _packages,
    "disk": _disk,
    "workspace": _writable,
    "settings": _settings,
    "dvc": _dvc,
    "mlflow": _mlflow,
    "ledger": _ledger,
    "prefect": _prefect,
}


def examine(place: Place) -> list[dict[str, Any]]:
    """Return every check as {name, ok, detail, fix}; fix is empty where all is well."""
    found = []
    for name, check in CHECKS.items():
        ok, detail, fix = check(place)
        found.append({"name": name, "ok": ok, "detail": detail, "fix": "" if ok else fix})
    return found
