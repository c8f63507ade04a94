import json
from pathlib import Path

import pytest
from release import house

from stillhouse.errors import Corrupt, Refused
from stillhouse.release.champion import champion_files, champion_model, stored_file
from stillhouse.release.promote import rollback
from stillhouse.release.registry import Registry


def test_before_the_first_promotion_there_is_null_and_an_empty_file(registry: Registry) -> None:
    assert champion_files(registry, None) == (b"null\n", b"")
    with pytest.raises(Refused, match="no champion yet"):
        champion_model(registry)


def test_another_student_is_compared_with_the_champion_as_it_is_now(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    told, onnx = champion_files(registry, house.student(2).fingerprint)
    said = json.loads(told)
    assert (said["head"], said["version"], said["fingerprint"]) == (
        1,
        1,
        house.student(1).fingerprint,
    )
    assert said["manifest"] == registry.version(1).manifest
    assert onnx == house.student(1).files["student.onnx"]
    assert champion_files(registry, None) == (told, onnx)


def test_the_champion_itself_is_given_what_it_was_once_compared_with_so_that_promoting_makes_nothing_stale(
    root: Path, model: str, registry: Registry
) -> None:
    first = house.student(1)
    before = champion_files(registry, first.fingerprint)
    house.release(root, model, first)
    assert champion_files(registry, first.fingerprint) == before
    told, onnx = champion_files(registry, house.student(2).fingerprint)
    second = house.student(2, champion=told)
    house.release(root, model, second, 1)
    assert champion_files(registry, second.fingerprint) == (told, onnx)


def test_after_a_rollback_the_old_champion_is_given_its_old_evidence_again(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2, champion=champion_files(registry, None)[0]), 1)
    rollback(registry, 2)
    assert champion_files(registry, house.student(1).fingerprint) == (b"null\n", b"")
    assert json.loads(champion_files(registry, house.student(2).fingerprint)[0])["head"] == 3


def test_a_student_judged_anew_over_another_champion_keeps_that_evidence_too(
    root: Path, model: str, registry: Registry
) -> None:
    early = house.student(2)
    house.enroll(root, model, early)
    house.release(root, model, house.student(1))
    told, onnx = champion_files(registry, early.fingerprint)
    assert house.release(root, model, house.student(2, champion=told), 1).version == 1
    assert champion_files(registry, early.fingerprint) == (told, onnx)


def test_predict_gets_the_promoted_bytes_and_refuses_others(
    root: Path, model: str, registry: Registry
) -> None:
    from mlflow.utils.file_utils import local_file_uri_to_path

    from stillhouse.workspace import sha256_bytes

    house.release(root, model, house.student(21))
    champion = champion_model(registry)
    assert (champion.version, champion.head, champion.schema) == (1, 1, house.SCHEMA)
    assert champion.onnx == house.student(21).files["student.onnx"]
    stored = Path(local_file_uri_to_path(registry.storage(1))) / "model.onnx"
    stored.write_bytes(house.student(22).files["student.onnx"])
    (root / ".stillhouse" / "registry" / sha256_bytes(champion.onnx)).unlink()
    with pytest.raises(Corrupt, match="as recorded"):
        champion_model(registry)


def test_a_ledger_that_went_back_is_not_believed(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    assert champion_model(registry).version == 2
    registry.mlflow.delete_model_version(f"{model}--ledger", "2")
    with pytest.raises(Corrupt, match="was 2 before"):
        champion_model(registry)


def test_a_stored_receipt_is_read_by_its_version(
    root: Path, model: str, registry: Registry
) -> None:
    house.enroll(root, model, house.student(1))
    assert stored_file(registry, 1, "receipt.json") == house.student(1).files["receipt.json"]
