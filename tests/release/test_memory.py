import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from release import house

from stillhouse.errors import Corrupt, Refused, UsageError
from stillhouse.release import memory
from stillhouse.release.promote import Promotion, promote, rollback
from stillhouse.release.registry import Registry
from stillhouse.release.status import problems, status


@pytest.fixture
def grown(root: Path, model: str, registry: Registry) -> Registry:
    """A ledger of three promotions that was read from here."""
    for head, seed in enumerate((1, 2, 3)):
        house.release(root, model, house.student(seed), head)
    assert memory.read(registry).head == 3
    return registry


def back_up(root: Path, aside: Path) -> None:
    with (
        closing(sqlite3.connect(root / ".stillhouse" / "mlflow.db")) as database,
        closing(sqlite3.connect(aside)) as copy,
    ):
        database.backup(copy)


def restore(root: Path, aside: Path) -> None:
    with (
        closing(sqlite3.connect(aside)) as copy,
        closing(sqlite3.connect(root / ".stillhouse" / "mlflow.db")) as database,
    ):
        copy.backup(database)


def edit(root: Path, model: str, number: int, target: int) -> None:
    """Point an entry at another version, in the database itself."""
    with closing(sqlite3.connect(root / ".stillhouse" / "mlflow.db")) as database:
        done = database.execute(
            "update model_versions set source = ? where name = ? and version = ?",
            (f"models:/{model}/{target}", f"{model}--ledger", number),
        )
        database.commit()
        assert done.rowcount == 1


def test_a_ledger_that_grows_is_believed_and_remembered(grown: Registry) -> None:
    seen = memory.recall(grown)
    assert (seen.head, seen.chain) == (3, grown.state().chain)
    promote(grown, 1, 3, evidence="e" * 64)
    assert memory.recall(grown).head == 4, "whoever promotes has seen it, and may not come again"
    rollback(grown, 4)
    assert (memory.recall(grown).head, memory.read(grown).head) == (5, 5)
    assert problems(grown) == []


def test_whoever_promotes_remembers_the_head_that_it_made(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    assert memory.recall(registry).head == 1
    registry.mlflow.delete_model_version(f"{model}--ledger", "1")
    with pytest.raises(Corrupt, match="head is 0, and was 1"):
        memory.read(registry)


def test_a_promotion_on_a_ledger_that_was_exchanged_does_not_make_it_believed(
    root: Path, model: str, grown: Registry
) -> None:
    edit(root, model, 3, 1)
    seen = memory.recall(grown)
    promote(grown, 2, 3, evidence="e" * 64)
    assert memory.recall(grown) == seen
    with pytest.raises(Corrupt, match="one was changed"):
        memory.read(grown)


def test_the_newest_entry_edited_in_the_database_is_seen_though_the_head_is_the_same(
    root: Path, model: str, grown: Registry
) -> None:
    edit(root, model, 3, 1)
    assert (grown.state().head, grown.state().champion) == (3, 1), "the fold alone is deceived"
    with pytest.raises(Corrupt, match="one was changed"):
        memory.read(grown)
    assert "one was changed" in status(grown)["problems"][0]
    edit(root, model, 3, 3)
    assert memory.read(grown).champion == 3


def test_the_newest_entry_deleted_is_seen(model: str, grown: Registry) -> None:
    grown.mlflow.delete_model_version(f"{model}--ledger", "3")
    with pytest.raises(Corrupt, match="head is 2, and was 3"):
        memory.read(grown)
    assert "accept-restore" in problems(grown)[0]


def test_an_old_back_up_is_refused_until_an_operator_accepts_it_with_a_reason(
    root: Path, model: str, registry: Registry, tmp_path: Path
) -> None:
    house.release(root, model, house.student(1))
    back_up(root, tmp_path / "old.db")
    house.release(root, model, house.student(2), 1)
    house.release(root, model, house.student(3), 2)
    memory.read(registry)
    restore(root, tmp_path / "old.db")
    with pytest.raises(Corrupt, match="head is 1, and was 3"):
        memory.read(registry)
    with pytest.raises(UsageError, match="reason"):
        memory.accept_restore(registry, "  ")
    done = memory.accept_restore(registry, "the disk of the database died\x00")
    assert (done.before, done.head, done.champion) == (3, 1, 1)
    assert memory.read(registry).champion == 1
    assert problems(registry) == []
    [note] = memory.recall(registry).accepted
    assert (note["from"], note["to"], note["reason"]) == (
        3,
        1,
        "the disk of the database died\ufffd",
    )
    tags = registry.mlflow.get_registered_model(f"{model}--ledger").tags
    assert "the disk of the database died" in tags["stillhouse.restored.3-1"]
    with pytest.raises(Refused, match="nothing to accept"):
        memory.accept_restore(registry, "again")
    assert house.release(root, model, house.student(4), 1).head == 2, "it goes on from there"
    assert memory.read(registry).head == 2


def test_a_back_up_that_was_written_to_since_is_told_by_its_chain(
    root: Path, model: str, registry: Registry, tmp_path: Path
) -> None:
    house.release(root, model, house.student(1))
    back_up(root, tmp_path / "old.db")
    house.release(root, model, house.student(2), 1)
    memory.read(registry)
    restore(root, tmp_path / "old.db")
    house.release(root, model, house.student(3), 1)
    house.release(root, model, house.student(4), 2)
    assert registry.state().head == 3
    with pytest.raises(Corrupt, match="up to 2 are not those"):
        memory.read(registry)
    memory.accept_restore(registry, "restored on Tuesday")
    assert memory.read(registry).head == 3


def test_a_deleted_entry_stops_promotion_until_it_is_accepted(
    root: Path, model: str, grown: Registry
) -> None:
    grown.mlflow.delete_model_version(f"{model}--ledger", "2")
    with pytest.raises(Corrupt, match="deleted: 2"):
        promote(grown, 1, 3, evidence="e" * 64)
    done = memory.accept_restore(grown, "Ann deleted it, and there is no back-up")
    assert (done.head, done.champion) == (1, 1), "what followed from it has no effect any more"
    assert promote(grown, 2, 1, evidence="e" * 64) == Promotion(4, 2, True)
    assert memory.read(grown).champion == 2
    assert problems(grown) == []


def test_a_champion_from_before_the_ledger_is_not_promoted_over_unseen(
    root: Path, model: str, registry: Registry
) -> None:
    assert memory.read(registry).head == 0
    version = house.enroll(root, model, house.student(1))
    assert memory.read(registry).head == 0
    registry.set_alias("champion", version)
    with pytest.raises(Refused, match="stillhouse adopt 1"):
        memory.read(registry)
    assert "stillhouse adopt 1" in status(registry)["problems"][0]
    registry.mlflow.delete_registered_model_alias(model, "champion")
    assert memory.read(registry).head == 0
