from pathlib import Path

from release import house

from stillhouse import environment
from stillhouse.release.history import LOST, history
from stillhouse.release.promote import rollback
from stillhouse.release.registry import Registry


def test_before_the_first_promotion_there_is_nothing_to_tell(registry: Registry) -> None:
    assert history(registry) == {
        "model": registry.model,
        "champions": [],
        "without_effect": 0,
        "problems": [],
    }


def test_every_champion_is_told_with_its_time_its_gates_words_and_who_asked(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    rollback(registry, 2, tags={"stillhouse.why": "stillhouse rollback"})
    told = history(registry)
    first, second, third = told["champions"]
    assert [(r["head"], r["version"], r["kind"], r["replaces"]) for r in told["champions"]] == [
        (1, 1, "promote", None),
        (2, 2, "promote", 1),
        (3, 1, "rollback", 2),
    ]
    assert [r["why"] for r in told["champions"]] == [
        "student 1 passed every rule",
        "student 2 passed every rule",
        "student 1 passed every rule",
    ]
    assert (first["until"], second["until"], third["until"]) == (
        second["since"],
        third["since"],
        None,
    )
    assert all(r["by"] == environment.who() for r in told["champions"])
    assert (first["command"], third["command"]) == ("", "stillhouse rollback")
    assert first["evidence"] == third["evidence"] == house.student(1).evidence


def test_entries_without_effect_and_forged_ones_are_told_apart_from_champions(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    registry.mlflow.create_model_version(
        f"{model}--ledger", f"models:/{model}/1", run_link="https://example.org"
    )
    told = history(registry)
    assert [r["version"] for r in told["champions"]] == [1]
    assert told["without_effect"] == 1
    assert told["problems"] == ["entry 2 was not written by Stillhouse."]


def test_a_verdict_that_was_spoilt_in_the_store_is_told_as_lost_and_no_tag_is_believed(
    root: Path, model: str, registry: Registry
) -> None:
    done = house.student(1)
    house.release(root, model, done)
    assert history(registry)["champions"][0]["why"] == "student 1 passed every rule"
    (root / ".stillhouse" / "registry" / done.evidence).unlink()
    stored = [p for p in (root / ".stillhouse/mlartifacts").rglob(done.evidence) if p.is_file()]
    for path in stored:
        path.write_bytes(path.read_bytes().replace(b"passed", b"failed"))
    assert stored
    assert history(registry)["champions"][0]["why"] == LOST
