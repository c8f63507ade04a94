"""code.lock.json and .stillhouse/inputs/: what DVC cannot see by itself, written down before it is
asked.

`steps` has a digest a step over the sources that it can reach; `files` has the digest of each, so
that a step that DVC starts can tell whether its code is the code that was locked.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stillhouse.config import file_of
from stillhouse.errors import SourceError, StaleLock
from stillhouse.pipeline.closure import PACKAGE, Imports, plugin_files
from stillhouse.steps.step import Step
from stillhouse.workspace import Workspace, sha256

CODE_LOCK = "code.lock.json"


def inputs_name(step: str) -> str:
    """Return the file that holds the digests of what a step's section names."""
    return f".stillhouse/inputs/{step}.json"


def _roots(step: str, params: Mapping[str, Any]) -> set[Path]:
    """Return where the code of a step starts: its own file, and its plugins."""
    return {PACKAGE / "steps" / f"{step}.py", *plugin_files(step, params)}


def code_lock(
    workspace: Workspace, steps: Iterable[str], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what code.lock.json holds for these settings."""
    imports = Imports(workspace)
    digests, files = {}, {}
    for name in steps:
        reached = imports.closure(_roots(name, params))
        digests[name] = hashlib.sha256(json.dumps(reached, sort_keys=True).encode()).hexdigest()
        files.update(reached)
    imports.save()
    return {"files": files, "steps": digests}


def named_files(step: Step, params: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Return the sha256 of every file or folder that the step's section names, by the path as
    written, and the watermark of what is no file.

    Raises:
        SourceError: One of them is not there.
        ServerUnreachable: A database does not answer.
    """
    found = {}
    for setting, path in sorted(step.sources(params).items()):
        place = file_of(path, root)
        if not place.exists():
            raise SourceError(
                f"the file '{path}' is missing: there is no such file.",
                where=f"{step.name}: {setting}",
                fix="Paths are relative to params.yaml.",
            )
        found[path] = sha256(place)
    return {**found, **step.watermarks(params, root)}


def verify_inputs(workspace: Workspace, step: Step, params: Mapping[str, Any]) -> None:
    """Refuse to run on input files that changed since they were locked.

    Raises:
        StaleLock: A digest differs, or the inputs were never locked.
    """
    path = workspace.root / inputs_name(step.name)
    recorded = workspace.read_json(inputs_name(step.name)) if path.is_file() else None
    now = named_files(step, params, workspace.root)
    if recorded != now:
        names = sorted(set(now) | set(recorded or {}))
        raise StaleLock(
            f"the inputs of '{step.name}' ({', '.join(names) or 'none'}) differ from "
            "what was locked.",
            where=inputs_name(step.name),
            fix="Run `stillhouse lock` first.",
        )


def verify_code(workspace: Workspace, step: Step, params: Mapping[str, Any]) -> None:
    """Refuse to run under DVC with code that differs from what code.lock.json recorded; a plugin
    that it does not list is allowed.

    Raises:
        StaleLock: A file differs, or there is no lock.
    """
    path = workspace.root / CODE_LOCK
    if not path.is_file():
        raise StaleLock(
            "there is no code.lock.json.", where=str(path), fix="Run `stillhouse lock` first."
        )
    recorded = workspace.read_json(CODE_LOCK)["files"]
    reached = Imports(workspace).closure(_roots(step.name, params))
    changed = [name for name, digest in reached.items() if recorded.get(name, digest) != digest]
    if changed:
        raise StaleLock(
            f"'{changed[0]}' differs from what was "
            f"locked{f', and {len(changed) - 1} more' if len(changed) > 1 else ''}.",
            where=CODE_LOCK,
            fix="Run `stillhouse lock`.",
        )
