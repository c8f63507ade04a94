"""Promotion under fire: many processes promote at one instant over one champion, and about half of
them are killed on the way.
"""

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from faults import rooms
from faults.tally import SEED, TALLY
from release import house

from stillhouse import failpoints
from stillhouse.errors import StaleHead, StillhouseError
from stillhouse.release.aliases import agree, reconcile
from stillhouse.release.promote import promote
from stillhouse.release.registry import Registry
from stillhouse_flows import databases

POINTS = (
    "release.before_append",
    "release.after_append",
    "release.before_alias",
    "release.after_alias",
)
DIES = 0.6  # share of promoters that are armed; those that only read are never struck


def promoter(root: str, version: int, head: int, at: float, points: str, told: str) -> None:
    """Promote at an instant, and leave a word of how it ended: what it was told, for us to hold
    against the ledger.
    """
    registry = Registry.open(house.place(Path(root)), rooms.MODEL)
    registry.versions()
    time.sleep(max(0.0, at - time.monotonic()))
    failpoints.arm(points)
    try:
        done = promote(registry, version, head, evidence=f"{version:064x}")
        word = f"ok {done.version}"
    except StaleHead:
        word = "refused"
    except StillhouseError as error:
        word = f"unknown {error}"
    Path(told).write_text(word)
    os._exit(0)


def fire(root: Path, promoters: int, rounds: int, lot: random.Random) -> tuple[int, list[str]]:
    """Return how many were killed, and what is wrong."""
    databases.seed(root)
    versions = [house.enroll(root, rooms.MODEL, house.student(seed)) for seed in range(1, 5)]
    registry = Registry.open(house.place(root), rooms.MODEL)
    killed, broken = 0, []
    for number in range(rounds):
        before = registry.state()
        words, codes = _round(
            root, [lot.choice(versions) for _ in range(promoters)], before.head, lot
        )
        killed += codes[-9]
        broken += [f"round {number}: {sentence}" for sentence in _judged(registry, before, words)]
        reconcile(registry)
        state = registry.state()
        broken += TALLY.held(
            "I5",
            []
            if agree(state, registry.aliases())
            else [f"round {number}: the aliases differ after a reconcile"],
        )
        broken += TALLY.held("I14", [f"round {number}: {codes[124]} hang"] if codes[124] else [])
        TALLY.recoveries += 1
    return killed, broken


def _round(
    root: Path, targets: list[int], head: int, lot: random.Random
) -> tuple[list[tuple[int, str]], Counter[int]]:
    import multiprocessing

    context = rooms.forks(multiprocessing.get_context("forkserver"))
    folder = root / "told"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    at, processes = time.monotonic() + 0.1 * len(targets) + 1.0, []
    for place, target in enumerate(targets):
        point = f"{lot.choice(POINTS)}=kill" if lot.random() < DIES else ""
        processes.append(
            context.Process(
                target=promoter, args=(str(root), target, head, at, point, str(folder / str(place)))
            )
        )  # type: ignore[attr-defined]
        processes[-1].start()
    for process in lot.sample(processes, len(processes) // 3):  # and some wherever they are
        time.sleep(max(0.0, at - time.monotonic()) + lot.random() * 0.05)
        process.kill()
    codes = Counter(rooms.finished(process, 120) for process in processes)
    TALLY.fault("promoter killed", count=codes[-9])
    return [(targets[int(p.name)], p.read_text()) for p in sorted(folder.iterdir())], codes


def _judged(registry: Registry, before: object, words: list[tuple[int, str]]) -> list[str]:
    state = registry.state()
    new = state.effective[len(before.effective) :]  # type: ignore[attr-defined]
    ok = {target for target, word in words if word.startswith("ok")}
    broken = TALLY.held(
        "I1",
        []
        if len(new) <= 1 and (new or not words)
        else [f"{len(new)} effects, {len(words)} lived to tell"],
    )
    broken += TALLY.held(
        "I11",
        [f"told ok for {ok}, effective is {[e.target for e in new]}"]
        if ok - {e.target for e in new}
        else [],
    )
    lied = [
        target for target, word in words if word == "refused" and new and target == new[0].target
    ]
    broken += TALLY.held(
        "I11",
        [f"told refused, though version {lied[0]} took effect by the same intent"] if lied else [],
    )
    broken += TALLY.held("I9", [*state.odd, *(f"entry {n} is missing" for n in state.holes)])
    return broken + TALLY.held("I11", [word for _, word in words if word.startswith("unknown")])


@pytest.mark.faults
def test_eight_promoters_of_whom_some_die_take_effect_once(tmp_path: Path) -> None:
    killed, broken = fire(tmp_path, 8, 1, random.Random(SEED))
    assert broken == []
    assert killed >= 2


@pytest.mark.faults
@pytest.mark.parametrize(("promoters", "rounds"), [(20, 4), (50, 5)])
def test_many_promoters_round_after_round_take_effect_once_a_round(
    promoters: int, rounds: int, tmp_path: Path
) -> None:
    killed, broken = fire(tmp_path, promoters, rounds, random.Random(SEED + promoters))
    assert broken == []
    assert killed >= 0.4 * promoters * rounds
