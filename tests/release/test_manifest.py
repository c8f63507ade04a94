from pathlib import Path

import pytest

from stillhouse.errors import Corrupt
from stillhouse.release import manifest
from stillhouse.workspace import Workspace, dump_json, sha256_bytes

HASHES = {name: f"{i:064x}" for i, name in enumerate(manifest.FINGERPRINTED)}


def test_the_fingerprint_knows_the_clock_free_files_and_no_others() -> None:
    plain = manifest.fingerprint(HASHES)
    assert manifest.fingerprint({**HASHES, "receipt.json": "f" * 64}) == plain
    assert manifest.fingerprint(dict(reversed(HASHES.items()))) == plain
    for name in manifest.FINGERPRINTED:
        assert manifest.fingerprint({**HASHES, name: "e" * 64}) != plain


def test_the_students_fingerprint_is_that_of_its_files_and_missing_files_have_none(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    assert manifest.student_fingerprint(workspace) is None
    for name, place in manifest.PLACES.items():
        workspace.write_bytes(place, name.encode())
    assert manifest.student_fingerprint(workspace) == manifest.fingerprint(
        {name: sha256_bytes(name.encode()) for name in manifest.PLACES}
    )


def test_a_manifest_names_every_file_but_itself(tmp_path: Path) -> None:
    for name in ("b.txt", "deep/a.txt", manifest.NAME):
        Workspace(tmp_path).write_bytes(name, b"x")
    assert manifest.manifest(tmp_path) == {
        "b.txt": sha256_bytes(b"x"),
        "deep/a.txt": sha256_bytes(b"x"),
    }


def test_a_manifest_with_another_hash_is_refused_and_the_right_one_read() -> None:
    data = dump_json(HASHES)
    assert manifest.read(data, manifest.digest(HASHES), where="here") == HASHES
    with pytest.raises(Corrupt, match="as recorded"):
        manifest.read(data + b" ", manifest.digest(HASHES), where="here")
