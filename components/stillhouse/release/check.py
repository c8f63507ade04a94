"""Check a registered version the way a reader will meet it: the store's own bytes, another process,
one question with a known answer.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stillhouse import environment
from stillhouse.errors import Corrupt
from stillhouse.failpoints import failpoint
from stillhouse.release import artifact
from stillhouse.release.fetch import CACHE, Fetch
from stillhouse.release.registry import BLESSED, Registry
from stillhouse.workspace import Workspace, load_tensors

# of a logit, absolute and relative: two builds of onnxruntime differ by less, a wrong model by more
TOLERANCE = 1e-4
LONGEST = 300.0  # seconds


@dataclass(frozen=True)
class Blessing:
    """That a version answered as it should, bound to its bytes.

    Attributes:
        version: Its number.
        fingerprint: Of its clock-free files.
        manifest: sha256 of the manifest that every file was checked against.
        max_error: The largest difference from the recorded logits.
    """

    version: int
    fingerprint: str
    manifest: str
    max_error: float


@dataclass(frozen=True)
class Replay:
    """That stored files are whole, load, and answer as they did.

    Attributes:
        files: How many were read from the store and checked by hash.
        max_error: The largest difference from the recorded logits.
    """

    files: int
    max_error: float


def bless(registry: Registry, version: int) -> Blessing:
    """Check a version, and note on it that it held; one that held before is not asked again.

    Every file is downloaded by the version's number and checked by hash; then a fresh process,
    which knows neither MLflow nor torch, loads the model and answers its input example.

    Raises:
        Corrupt: A file differs from its hash, the model does not load, or it answers something
            else.
        ServerUnreachable: MLflow does not answer.
    """
    blessing = examine(registry, Workspace(registry.place.root), version)
    failpoint("release.before_blessing")
    registry.tag_version(version, BLESSED, blessing.manifest)
    failpoint("release.after_blessing")
    return blessing


def blessed(registry: Registry, version: int) -> bool:
    """Whether a version was checked before, on the very files that it has now."""
    found = registry.version(version)
    return bool(found.manifest) and found.blessed == found.manifest


def examine(registry: Registry, workspace: Workspace, number: int) -> Blessing:
    """Download a version by its number, check every hash, and see it answer in a fresh process.

    Raises:
        Corrupt: Anything differs.
    """
    version = registry.version(number)
    where = f"{registry.model} version {number}"
    if not version.manifest:
        raise Corrupt(
            "it was not registered by Stillhouse: it has no manifest.",
            where=where,
            fix="Register a student by `stillhouse run`.",
        )
    fetch, storage = Fetch(registry, workspace), registry.storage(number).rstrip("/")
    found = replay(fetch, storage, version.manifest, version.fingerprint, where=where)
    return Blessing(number, version.fingerprint, version.manifest, found.max_error)


def replay(fetch: Fetch, storage: str, bound: str, fingerprint: str, *, where: str) -> Replay:
    """Read every file of a version from the store, check it, and see the model answer its input
    example in a fresh process.

    Args:
        fetch: Reads the store.
        storage: The URI of the version's files.
        bound: The manifest's sha256, from the version or from a ledger entry.
        fingerprint: Of the clock-free files.
        where: The version in words, for messages.

    Raises:
        Corrupt: Anything differs.
    """
    workspace = fetch.workspace
    entries = fetch.verify(storage, bound, fingerprint)
    for name in (artifact.MODEL, artifact.ANSWER):
        fetch.file(storage, bound, name)  # into the cache, by hash
    model, answer = (
        workspace.root / CACHE / entries[name] for name in (artifact.MODEL, artifact.ANSWER)
    )
    error = _ask(model, answer, where)
    scale = float(load_tensors(answer)["logits"].abs().max())
    if not error <= TOLERANCE * (1 + scale):
        raise Corrupt(
            f"it answers its input example with an error of {error:.3g}.",
            where=where,
            fix="Do not promote it; export it again.",
        )
    return Replay(len(entries) + 1, error)


def _ask(model: Path, answer: Path, where: str) -> float:
    root = model.parents[2]
    command = [sys.executable, "-m", "stillhouse.edge.answer", str(model), str(answer)]
    around = environment.child(root, STILLHOUSE_FAILPOINTS="")
    try:
        done = subprocess.run(
            command,
            env=around,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Corrupt(
            f"it did not answer within {LONGEST:.0f} s.",
            where=where,
            fix="Do not promote it; export it again.",
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Corrupt(
            f"it did not pass its check: {said[-1] if said else 'no word'}",
            where=where,
            fix="Do not promote it.",
        )
    found = json.loads(done.stdout.strip().splitlines()[-1])["max_error"]
    return float("inf") if found is None else float(found)
