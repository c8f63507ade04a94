import sqlite3
import time
from pathlib import Path

import pytest
from release import house

from stillhouse.clock import ManualClock
from stillhouse.errors import Corrupt, Refused, ServerUnreachable, StaleHead, UsageError
from stillhouse.pipeline import receipts
from stillhouse.release.aliases import agree, reconcile, set_challenger
from stillhouse.release.promote import Promotion, promote, rollback
from stillhouse.release.registry import Registry
from stillhouse.release.status import problems, status


def test_a_first_student_is_promoted_and_the_status_tells_it(
    root: Path, model: str, registry: Registry
) -> None:
    empty = {
        "model": model,
        "champion": None,
        "challenger": None,
        "previous": None,
        "ledger": {"head": 0, "entries": 0, "effective": 0},
        "aliases_agree": True,
        "problems": [],
    }
    assert status(registry) == empty
    assert house.release(root, model, house.student(1)) == Promotion(1, 1, True)
    told = status(registry)
    since = told["champion"].pop("since")
    assert since.endswith("+00:00")
    assert told == {
        **empty,
        "champion": {"version": 1, "head": 1, "sha256": house.student(1).fingerprint},
        "ledger": {"head": 1, "entries": 1, "effective": 1},
    }
    assert registry.aliases() == {"champion": 1}


def test_promoting_again_what_is_champion_appends_nothing(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    assert house.release(root, model, house.student(1)) == Promotion(1, 1, False)
    assert len(registry.entries()) == 1


def test_a_verdict_over_an_older_champion_is_refused_and_one_over_the_present_counts(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    with pytest.raises(StaleHead, match="v2"):
        house.release(root, model, house.student(3), 1)
    assert registry.state().champion == 2
    assert house.release(root, model, house.student(3), 2).version == 3
    assert registry.aliases() == {"champion": 3, "previous": 2}


def test_a_rollback_counts_only_from_the_head_that_was_seen_and_repeats_the_evidence(
    root: Path, model: str, registry: Registry
) -> None:
    first, second = house.student(1), house.student(2)
    house.release(root, model, first)
    with pytest.raises(Refused, match="no earlier champion"):
        rollback(registry, 1)
    house.release(root, model, second, 1)
    with pytest.raises(StaleHead, match="v2"):
        rollback(registry, 1)
    assert rollback(registry, 2) == Promotion(3, 1, True)
    state = registry.state()
    assert state.last is not None
    assert (state.last.link.kind, state.last.link.evidence, state.last.link.over) == (
        "rollback",
        first.evidence,
        first.over,
    )
    assert state.quarantined == {2}
    told = status(registry)
    assert (
        told["champion"]["version"],
        told["previous"],
        told["ledger"]["effective"],
        told["aliases_agree"],
    ) == (1, None, 3, True)
    assert "previous" not in registry.aliases()


def test_the_same_rollback_again_after_a_kill_has_no_second_effect(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    assert house.ended(house.roll_back, str(root), model, 2, "release.before_alias=kill") == -9
    assert not agree(registry.state(), registry.aliases())
    assert rollback(registry, 2) == Promotion(3, 1, False)
    assert agree(registry.state(), registry.aliases())


@pytest.mark.parametrize(
    "point", ["before_append", "after_append", "before_alias", "after_alias", "before_alias=kill@2"]
)
def test_killed_anywhere_in_a_promotion_and_run_again_it_took_effect_once(
    root: Path, model: str, registry: Registry, point: str
) -> None:
    house.release(root, model, house.student(1))
    name = f"release.{point}" if "=" in point else f"release.{point}=kill"
    assert house.ended(house.whole, str(root), model, 2, 1, name) == -9
    house.whole(str(root), model, 2, 1, "")
    state = registry.state()
    assert (state.champion, state.previous, len(state.effective), len(registry.versions())) == (
        2,
        1,
        2,
        2,
    )
    assert registry.aliases() == {"champion": 2, "previous": 1}


def test_of_six_promoters_at_once_exactly_one_takes_effect_and_each_is_told_the_truth(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(0))
    versions = [house.enroll(root, model, house.student(seed)) for seed in range(1, 7)]
    out, at = house.forks().Queue(), time.time() + 4
    points = ["", "", "release.after_append=raise", "", "release.before_append=sleep", ""]
    runs = [
        house.forks().Process(target=house.promote_only, args=(str(root), model, v, 1, at, p, out))
        for v, p in zip(versions, points, strict=True)
    ]
    for run in runs:
        run.start()
    told = [out.get(timeout=60) for _ in runs]
    for run in runs:
        run.join(30)
    state = registry.state()
    assert len(state.effective) == 2
    assert [t[1] for t in told if t[0] == "ok"] in ([state.champion], [])
    assert {t[0] for t in told} <= {"ok", "StaleHead", "Injected"}
    assert [t[0] for t in told].count("StaleHead") >= 4
    reconcile(registry)
    assert registry.aliases() == {"champion": state.champion, "previous": 1}


def test_two_operators_who_roll_back_from_the_same_head_go_back_once(
    root: Path, model: str, registry: Registry
) -> None:
    for head, seed in enumerate((1, 2, 3)):
        house.release(root, model, house.student(seed), head)
    runs = [
        house.forks().Process(target=house.roll_back, args=(str(root), model, 3, ""))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0]
    assert (
        registry.state().champion,
        registry.state().quarantined,
        len(registry.state().effective),
    ) == (2, {3}, 4)


def test_an_alias_moved_by_hand_is_seen_and_moved_back(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    registry.set_alias("champion", 1)
    assert status(registry)["aliases_agree"] is False
    assert status(registry)["champion"]["version"] == 2
    assert reconcile(registry) is True
    assert reconcile(registry) is False
    assert status(registry)["aliases_agree"] is True


def test_a_challenger_waits_until_it_is_promoted(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    candidate = house.student(2)
    set_challenger(registry, house.enroll(root, model, candidate))
    reconcile(registry)
    assert (status(registry)["challenger"], status(registry)["champion"]["version"]) == (2, 1)
    promote(registry, 2, 1, evidence=candidate.evidence, over=candidate.over)
    assert (status(registry)["challenger"], status(registry)["champion"]["version"]) == (None, 2)


def test_forged_entries_and_edited_tags_change_nothing_and_are_told(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.enroll(root, model, house.student(2))
    assert problems(registry) == []
    registry.mlflow.create_model_version(
        f"{model}--ledger",
        f"models:/{model}/2",
        run_link="stillhouse:1 op=evil",
        await_creation_for=0,
    )
    registry.mlflow.set_model_version_tag(f"{model}--ledger", "1", "stillhouse.evidence", "f" * 64)
    assert registry.state().champion == 1
    assert len(problems(registry)) == 2
    assert house.release(root, model, house.student(2), 1) == Promotion(3, 2, True)


def test_after_an_entry_was_deleted_nothing_is_promoted_and_the_reason_is_told(
    root: Path, model: str, registry: Registry
) -> None:
    for head, seed in enumerate((1, 2, 3)):
        house.release(root, model, house.student(seed), head)
    registry.mlflow.delete_model_version(f"{model}--ledger", "2")
    assert "entry 2 was deleted." in problems(registry)
    with pytest.raises(Corrupt, match="deleted: 2"):
        house.release(root, model, house.student(4), 3)
    with pytest.raises(Corrupt, match="deleted: 2"):
        rollback(registry, 3)


def test_an_entry_edited_in_the_database_itself_does_not_stay_unseen(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    house.release(root, model, house.student(2), 1)
    with sqlite3.connect(root / ".stillhouse" / "mlflow.db") as database:
        done = database.execute(
            "update model_versions set run_link = replace(run_link, 'evidence=', "
            "'evidence=-') where name = ? and version = 1",
            (f"{model}--ledger",),
        )
        assert done.rowcount == 1
    assert registry.state().champion is None
    assert problems(registry)


def test_the_entry_holds_when_its_target_version_was_deleted(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    registry.mlflow.delete_model_version(model, "1")
    assert registry.state().champion == 1
    assert status(registry)["champion"]["sha256"] == house.student(1).fingerprint
    assert status(registry)["aliases_agree"] is False
    assert reconcile(registry) is False
    assert "no alias can name it" in problems(registry)[0]


def test_a_version_that_is_not_there_or_not_ours_is_refused(
    root: Path, model: str, registry: Registry
) -> None:
    house.enroll(root, model, house.student(1))
    registry.create_version(str(root), "", {})
    with pytest.raises(UsageError, match="no version 7"):
        promote(registry, 7, 0, evidence="1" * 64)
    with pytest.raises(UsageError, match="not registered by Stillhouse"):
        promote(registry, 2, 0, evidence="1" * 64)
    assert promote(registry, 1, 0, evidence="1" * 64).version == 1


SILENT = ServerUnreachable("MLflow does not answer: no answer came in time.")


@pytest.mark.parametrize(
    ("gone", "known", "effects"),
    [
        ("entries", "Nothing was written", 1),
        ("version", "Nothing was written", 1),
        ("append", "is not known: the same command finds out", 1),
        ("set_alias", "Version 2 is the champion .head 2.; only its aliases lag", 2),
    ],
)
def test_a_promoter_whose_server_goes_silent_says_what_is_known_of_its_effect(
    root: Path,
    model: str,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    gone: str,
    known: str,
    effects: int,
) -> None:
    house.release(root, model, house.student(1))
    second = house.student(2)
    house.enroll(root, model, second)

    def silent(*_: object) -> None:
        raise SILENT

    clock = ManualClock()
    with monkeypatch.context() as patched:
        patched.setattr(registry, gone, silent)
        with pytest.raises(ServerUnreachable, match=known) as told:
            promote(registry, 2, 1, evidence=second.evidence, clock=clock)
    assert "no answer came in time" in told.value.what
    assert 40 < clock.elapsed < 150
    assert len(registry.state().effective) == effects
    assert promote(registry, 2, 1, evidence=second.evidence).version == 2


def test_a_head_that_was_never_reached_is_not_called_refused_since_nothing_is_known(
    root: Path, model: str, registry: Registry
) -> None:
    house.release(root, model, house.student(1))
    clock = ManualClock()
    with pytest.raises(ServerUnreachable, match="older"):
        rollback(registry, 9, clock=clock)
    assert 0 < clock.elapsed < 10


def test_adopting_a_champion_from_before_the_ledger_is_its_first_entry(
    root: Path, model: str, registry: Registry
) -> None:
    house.enroll(root, model, house.student(1))
    assert promote(registry, 1, 0, evidence="-", kind="adopt") == Promotion(1, 1, True)
    state = registry.state()
    assert state.last is not None
    assert state.last.link.kind == "adopt"


def test_a_version_has_its_receipt_and_one_that_does_not_exist_has_none(
    root: Path, model: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.place.tracking_uri)
    (root / "params.yaml").write_text(f"model: {model}\n")
    house.release(root, model, house.student(1))
    receipt, page = receipts.find(root, 1)
    assert (receipt, page.read_text()) == ({"seed": 1}, "<p>receipt</p>")
    with pytest.raises(UsageError, match="there is no version 7"):
        receipts.find(root, 7)
