"""What a version is made of: the fingerprint of its clock-free files, and the manifest of every
file as it was uploaded.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from stillhouse.errors import Corrupt
from stillhouse.workspace import Workspace, dump_json, sha256, sha256_bytes

# The files that hold no clock: the same science gives the same bytes, and with them the same
# version.
FINGERPRINTED = ("student.onnx", "student.int8.onnx", "student.safetensors", "schema.json")
# Where the steps leave them.
PLACES = {
    "student.onnx": "artifacts/export/student.onnx",
    "student.int8.onnx": "artifacts/export/student.int8.onnx",
    "student.safetensors": "artifacts/distill/student.safetensors",
    "schema.json": "artifacts/prepare/schema.json",
}
NAME = "manifest.json"


def fingerprint(files: Mapping[str, str]) -> str:
    """Return the sha256 over the sorted (name, sha256) of the clock-free files.

    Args:
        files: Name → sha256; those that are not in FINGERPRINTED are left out of it.

    Raises:
        KeyError: One of them is not given.

    Example:
        >>> fingerprint(dict.fromkeys(FINGERPRINTED, "00"))[:8]
        '7c12194e'
    """
    return hashlib.sha256(
        json.dumps([(name, files[name]) for name in sorted(FINGERPRINTED)]).encode()
    ).hexdigest()


def student_fingerprint(workspace: Workspace) -> str | None:
    """Return the fingerprint of the student that lies in the workspace, or None if there is no
    whole one.
    """
    places = {name: workspace.root / place for name, place in PLACES.items()}
    if not all(path.is_file() for path in places.values()):
        return None
    return fingerprint({name: sha256(path) for name, path in places.items()})


def manifest(folder: Path) -> dict[str, str]:
    """Return relative name → sha256 of every file in a folder, the manifest itself left out."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / NAME
    }


def digest(entries: Mapping[str, str]) -> str:
    """Return the sha256 of a manifest's own bytes: what the version and the ledger are bound to."""
    return sha256_bytes(dump_json(dict(entries)))


def read(data: bytes, expected: str, *, where: str) -> dict[str, str]:
    """Return the manifest that `data` holds.

    Raises:
        Corrupt: Its bytes do not have the hash that was recorded, or it is not a mapping of names
            to hashes.
    """
    check("manifest.json", data, expected, where=where)
    found = json.loads(data)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise Corrupt(
            "the manifest is not a mapping of names to hashes.",
            where=where,
            fix="Register the student again.",
        )
    return found


def check(name: str, data: bytes, expected: str, *, where: str) -> None:
    """Refuse bytes that are not those that were recorded.

    Raises:
        Corrupt: Their sha256 differs.
    """
    observed = sha256_bytes(data)
    if observed != expected:
        raise Corrupt(
            f"'{name}' has the sha256 {observed[:12]}…, not {expected[:12]}… as recorded.",
            where=where,
            fix="Somebody or something changed the file; do not use it. Register and promote the "
            "student again.",
        )
