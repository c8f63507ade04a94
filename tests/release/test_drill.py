from pathlib import Path

import pytest
import torch
from release import house

from stillhouse.errors import Corrupt, Refused
from stillhouse.release.drill import drill
from stillhouse.release.promote import rollback
from stillhouse.release.registry import Registry
from stillhouse.workspace import Workspace


def seen(registry: Registry) -> object:
    """All that a drill could change in the registry."""
    return registry.entries(), registry.aliases(), registry.versions()


def test_the_previous_champion_loads_and_answers_and_nothing_changes(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    before = seen(registry)
    found = drill(registry, Workspace(root))
    assert seen(registry) == before
    assert (found.head, found.champion, found.previous) == (2, 2, 1)
    assert (found.model, found.fingerprint) == (model, house.student(1).fingerprint)
    assert found.files > 8
    assert found.max_error < 1e-5
    assert found.seconds > 0


def test_what_a_drill_names_is_what_a_rollback_then_does(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    found = drill(registry, Workspace(root))
    assert rollback(registry, found.head).version == found.previous
    with pytest.raises(Refused, match="no earlier champion"):
        drill(registry, Workspace(root))  # the one that was left is in quarantine


def test_without_an_earlier_champion_there_is_nothing_to_practise(
    root: Path, model: str, registry: Registry
) -> None:
    with pytest.raises(Refused, match="no earlier champion"):
        drill(registry, Workspace(root))
    house.release(root, model, house.student(1))
    with pytest.raises(Refused, match="no earlier champion"):
        drill(registry, Workspace(root))


def test_a_previous_champion_with_a_changed_byte_fails_the_drill(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    assert drill(registry, Workspace(root)).previous == 1
    from mlflow.artifacts import download_artifacts  # where the store keeps it

    path = Path(download_artifacts(f"{registry.storage(1).rstrip('/')}/model.onnx"))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(Corrupt, match=r"model\.onnx"):
        drill(registry, Workspace(root))


def test_a_previous_champion_that_answers_something_else_fails_the_drill(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1, answer=torch.tensor([[9.0, 9.0]])))
    house.release(root, model, house.student(2), 1)
    with pytest.raises(Corrupt, match="answers its input example with an error"):
        drill(registry, Workspace(root))


def test_a_ledger_with_a_hole_is_not_practised_on(
    root: Path, model: str, registry: Registry
) -> None:
    for seed, head in ((1, 0), (2, 1), (3, 2)):
        house.release(root, model, house.student(seed), head)
    registry.mlflow.delete_model_version(f"{model}--ledger", "1")
    with pytest.raises(Corrupt, match="entries were deleted: 1"):
        drill(registry, Workspace(root))
