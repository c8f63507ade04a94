from pathlib import Path

import pytest
from release import house

from stillhouse.errors import Corrupt, SettingsError
from stillhouse.release import artifact
from stillhouse.release.check import bless, examine
from stillhouse.release.fetch import Fetch
from stillhouse.release.registry import Registry
from stillhouse.workspace import Workspace, sha256_bytes


def _storage(root: Path, registry: Registry, version: int) -> Path:
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(registry.storage(version)))


def test_the_same_student_twice_is_one_version_and_another_student_is_another(
    root: Path, model: str, registry: Registry
) -> None:
    first = house.enroll(root, model, house.student(1))
    again = house.enroll(root, model, house.student(1))
    other = house.enroll(root, model, house.student(2))
    assert (first, again, other) == (1, 1, 2)
    assert [v.number for v in registry.versions()] == [1, 2]


def test_the_registered_model_is_the_judged_file_byte_for_byte_with_its_receipt_and_no_pickle(
    root: Path, model: str, registry: Registry
) -> None:
    candidate = house.student(3)
    version = registry.version(house.enroll(root, model, candidate))
    storage = _storage(root, registry, version.number)
    names = {p.relative_to(storage).as_posix() for p in storage.rglob("*") if p.is_file()}
    assert (storage / "model.onnx").read_bytes() == candidate.files["student.onnx"]
    assert {
        "MLmodel",
        "receipt.json",
        "receipt.html",
        "card.md",
        "schema.json",
        "student.safetensors",
        "student.int8.onnx",
        "manifest.json",
    } <= names
    assert {f"evidence/{candidate.evidence}", f"evidence/{candidate.over}"} <= names
    assert not any(name.endswith((".pkl", ".pickle", ".data")) for name in names)
    assert version.fingerprint == candidate.fingerprint
    assert storage.is_relative_to(root)


def test_mlflow_itself_loads_and_asks_the_registered_model(
    root: Path, model: str, registry: Registry
) -> None:
    import mlflow.pyfunc
    import numpy as np

    candidate = house.student(4)
    storage = _storage(root, registry, house.enroll(root, model, candidate))
    loaded = mlflow.pyfunc.load_model(str(storage))
    np.testing.assert_allclose(
        loaded.predict({"inputs": candidate.example.numpy()})["logits"],
        candidate.answer.numpy(),
        rtol=1e-5,
    )
    assert loaded.metadata.signature is not None
    assert loaded.input_example is not None


def test_a_fresh_process_blesses_a_good_version_and_notes_it(
    root: Path, model: str, registry: Registry
) -> None:
    version = house.enroll(root, model, house.student(5))
    blessing = bless(registry, version)
    assert (blessing.version, blessing.fingerprint) == (version, house.student(5).fingerprint)
    assert blessing.max_error < 1e-5
    assert blessing.manifest == registry.version(version).manifest


def test_a_fresh_process_refuses_a_version_that_answers_otherwise(
    root: Path, model: str, registry: Registry
) -> None:
    candidate = house.student(6)
    version = house.enroll(root, model, house.student(6, answer=candidate.answer + 1))
    with pytest.raises(Corrupt, match="error of 1"):
        bless(registry, version)


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx",
        "student.safetensors",
        "schema.json",
        "receipt.json",
        "MLmodel",
        "manifest.json",
    ],
)
def test_one_changed_byte_in_a_stored_file_is_refused(
    root: Path, model: str, registry: Registry, name: str
) -> None:
    version = house.enroll(root, model, house.student(7))
    assert examine(registry, Workspace(root), version).version == version
    path = _storage(root, registry, version) / name
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(Corrupt, match="as recorded"):
        examine(registry, Workspace(root), version)


def test_a_damaged_copy_in_the_cache_is_fetched_anew(
    root: Path, model: str, registry: Registry
) -> None:
    candidate = house.student(8)
    version = registry.version(house.enroll(root, model, candidate))
    fetch, storage = Fetch(registry, Workspace(root)), registry.storage(version.number)
    assert fetch.file(storage, version.manifest, artifact.MODEL) == candidate.files["student.onnx"]
    kept = root / ".stillhouse" / "registry" / sha256_bytes(candidate.files["student.onnx"])
    kept.write_bytes(b"torn")
    assert fetch.file(storage, version.manifest, artifact.MODEL) == candidate.files["student.onnx"]


@pytest.mark.parametrize(
    "point", ["before_upload", "after_upload", "before_register", "after_register"]
)
def test_killed_anywhere_and_run_again_a_student_is_registered_once(
    root: Path, model: str, registry: Registry, point: str
) -> None:
    assert house.ended(house.whole, str(root), model, 9, 0, f"release.{point}=kill") == -9
    house.whole(str(root), model, 9, 0, "")
    [version] = registry.versions()
    assert (
        examine(registry, Workspace(root), version.number).fingerprint
        == house.student(9).fingerprint
    )
    assert len(registry.state().effective) == 1


def test_a_disk_that_is_full_while_uploading_leaves_no_version_and_the_next_run_makes_one(
    root: Path, model: str, registry: Registry
) -> None:
    assert (
        house.ended(house.whole, str(root), model, 10, 0, "workspace.before_replace=enospc@3") == 1
    )
    assert registry.versions() == []
    house.whole(str(root), model, 10, 0, "")
    assert len(registry.versions()) == 1


def test_of_several_versions_with_one_fingerprint_the_lowest_counts_and_the_others_say_so(
    root: Path, model: str, registry: Registry
) -> None:
    first = registry.version(house.enroll(root, model, house.student(11)))
    tags = {
        "stillhouse.fingerprint": first.fingerprint,
        "stillhouse.manifest": first.manifest,
        "stillhouse.model_id": first.model_id,
    }
    registry.create_version(registry.storage(1), first.run_id, tags)
    assert house.enroll(root, model, house.student(11)) == 1
    assert registry.version(2).duplicate_of == 1


def test_a_version_without_a_manifest_is_not_taken_for_ours(
    root: Path, model: str, registry: Registry
) -> None:
    source = str(root)
    registry.create_version(source, "", {"stillhouse.fingerprint": house.student(12).fingerprint})
    assert house.enroll(root, model, house.student(12)) == 2


def test_a_name_that_is_no_models_name_is_refused_and_a_good_one_is_not(root: Path) -> None:
    assert Registry.open(house.place(root), "digits_v2.1-a").model == "digits_v2.1-a"
    for name in ("a/b", "a:b", "a'b", "", "x--ledger", "../x"):
        with pytest.raises(SettingsError):
            Registry.open(house.place(root), name)
