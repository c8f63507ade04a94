"""The registry of a team: MLflow on PostgreSQL, artifacts through the server, a network that loses
and repeats.
"""

import itertools
import threading
import time
from pathlib import Path

import pytest
from release import house
from servers.fire import place
from servers.postgres import Postgres
from servers.proxy import Fault, Kind, Proxy

from stillhouse.errors import ServerUnreachable, StillhouseError
from stillhouse.release import ledger
from stillhouse.release import promote as acts
from stillhouse.release.aliases import agree, reconcile
from stillhouse.release.check import bless
from stillhouse.release.promote import Promotion, promote, rollback
from stillhouse.release.register import register
from stillhouse.release.registry import Registry
from stillhouse.tracking import Tracker
from stillhouse.workspace import Workspace

_numbers = itertools.count()


@pytest.fixture
def registry(proxy: Proxy, tmp_path: Path) -> Registry:
    return Registry.open(place(tmp_path, proxy.url), f"model-{next(_numbers)}")


def enroll(registry: Registry, seed: int) -> int:
    at, workspace, candidate = registry.place, Workspace(registry.place.root), house.student(seed)
    tracker = Tracker.open(at, workspace, registry.model, f"key-{candidate.fingerprint[:8]}")
    ids = {"experiment": tracker.experiment, "run_id": tracker.run_id}
    done = register(registry, workspace, candidate, **ids)
    tracker.finish()
    return done.version.number


def _move(registry: Registry) -> ledger.Append:
    """Return the entry that would make version 1 the first champion."""
    found = registry.version(1)
    op = ledger.operation(registry.model, 0, found.fingerprint, "1" * 64)
    intent = ledger.Intent(op, "promote", 1, 0, "1" * 64, ledger.NOTHING, found.manifest)
    move = ledger.decide(registry.state(), intent)
    assert isinstance(move, ledger.Append)
    return move


def runs(registry: Registry) -> list[str]:
    found = registry.mlflow.get_experiment_by_name(registry.model)
    return [r.info.status for r in registry.mlflow.search_runs([found.experiment_id])]


LOSES_ANSWERS: tuple[tuple[Kind, str], ...] = (
    ("drop_after", "model-versions/create"),
    ("duplicate", "model-versions/create"),
    ("drop_after", "runs/create"),
)
ALSO: tuple[tuple[Kind, str], ...] = (
    ("unavailable_after", "model-versions/create"),
    ("half", "model-versions/create"),
    ("half", "runs/search"),
    ("error_before", "logged-models"),
)


@pytest.mark.parametrize(
    ("kind", "path"),
    [*LOSES_ANSWERS, *(pytest.param(*lost, marks=pytest.mark.stories) for lost in ALSO)],
)
def test_a_student_is_one_version_of_one_run_whatever_the_network_does(
    kind: Kind, path: str, registry: Registry, proxy: Proxy
) -> None:
    proxy.faults = [Fault(kind, path, frozenset({1}))]  # MLflow's client repeats it
    version = enroll(registry, 1)
    assert proxy.struck[kind] >= 1
    proxy.quiet()
    versions = registry.versions(house.student(1).fingerprint)
    assert [v.duplicate_of for v in versions] == [None, *[version] * (len(versions) - 1)]
    assert bless(registry, version).max_error < 1e-5
    assert runs(registry) == ["FINISHED"]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "unavailable_after", "half"])
def test_an_append_whose_answer_is_lost_takes_effect_once_and_is_told_ok(
    kind: Kind, registry: Registry, proxy: Proxy
) -> None:
    for seed in (1, 2):
        enroll(registry, seed)
    promote(registry, 1, 0, evidence="1" * 64)
    proxy.faults = [Fault(kind, "model-versions/create", frozenset({1, 2, 3}))]
    assert promote(registry, 2, 1, evidence="2" * 64).version == 2
    proxy.quiet()
    state = registry.state()
    assert [e.target for e in state.effective] == [1, 2]
    assert rollback(registry, state.head).version == 1
    assert agree(registry.state(), registry.aliases())


def test_an_alias_that_lands_late_is_mended_by_one_reconcile(
    registry: Registry, proxy: Proxy
) -> None:
    for seed in (1, 2):
        enroll(registry, seed)
    proxy.faults = [Fault("delay", "registered-models/alias", frozenset({1}), seconds=6)]
    first = threading.Thread(target=_dies, args=(registry,), daemon=True)
    first.start()
    until = time.monotonic() + 20
    while not proxy.struck["delay"] and time.monotonic() < until:
        time.sleep(0.02)
    promote(registry, 2, registry.state().head, evidence="2" * 64)
    proxy.settle()
    assert registry.aliases()["champion"] == 1, "the late write is the fault that this is about"
    assert reconcile(registry) is True
    assert registry.aliases() == {"champion": 2, "previous": 1}
    first.join(60)


def _dies(registry: Registry) -> None:
    """A promoter that sets its alias and is not there to look whether it holds."""
    mine = Registry.open(registry.place, registry.model)
    mine.append(_move(mine), {})
    mine.set_alias("champion", 1)


def test_many_who_set_an_alias_for_the_first_time_at_once_are_all_told_ok(
    registry: Registry,
) -> None:
    """PostgreSQL answers some of them with 400 UniqueViolation, which MLflow's client does not
    repeat.
    """
    enroll(registry, 1)
    told: list[object] = []

    def act() -> None:
        mine = Registry.open(registry.place, registry.model)
        gate.wait()
        try:
            told.append(promote(mine, 1, 0, evidence="1" * 64).version)
        except Exception as error:
            told.append(error)

    gate = threading.Barrier(6)
    threads = [threading.Thread(target=act) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert told == [1] * 6
    assert len(registry.state().effective) == 1
    assert registry.aliases() == {"champion": 1}


def test_postgresql_restarted_between_two_promotions_is_no_news(
    registry: Registry, database: Postgres
) -> None:
    for seed in (1, 2):
        enroll(registry, seed)
    promote(registry, 1, 0, evidence="1" * 64)
    database.restart()
    assert promote(registry, 2, 1, evidence="2" * 64).version == 2
    assert registry.aliases() == {"champion": 2, "previous": 1}


def test_a_promoter_without_a_server_says_so_and_the_same_call_goes_on(
    registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    enroll(registry, 1)
    monkeypatch.setattr(acts, "PATIENCE", 3.0)
    proxy.faults = [Fault("drop_after", "model-versions/create")]
    with proxy.away(), pytest.raises(ServerUnreachable, match="does not answer"):
        promote(registry, 1, 0, evidence="1" * 64)
    with pytest.raises(ServerUnreachable):
        registry.append(_move(registry), {})
    proxy.quiet()
    assert promote(registry, 1, 0, evidence="1" * 64) == Promotion(1, 1, False), "it was there"


def test_the_longest_entry_and_the_strangest_tags_are_taken(registry: Registry) -> None:
    enroll(registry, 1)
    longest = ledger.Link(
        "a" * 36, 10**17, "rollback", "f" * 32, "e" * 64, "d" * 64, "c" * 64
    ).text()
    assert 340 <= len(longest) <= ledger.LONGEST_LINK < 500
    why = "Ann said \x00 \ud800 'so' " + "x" * 6000
    promote(registry, 1, 0, evidence="1" * 64, tags={"stillhouse.why": why})
    registry.append(ledger.Append(f"models:/{registry.model}/1", longest), {})
    first, second = registry.entries()
    assert first.tags["stillhouse.why"].startswith("Ann said \ufffd \ufffd 'so' xxx")
    assert second.run_link == longest
    with pytest.raises(StillhouseError):  # what sqlite would take
        registry.append(ledger.Append(f"models:/{registry.model}/1", "x" * 501), {})
