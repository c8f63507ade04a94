"""Promotion under fire, at length: fifty processes at one instant, five times, on sqlite and on a
team's MLflow behind a proxy that loses, repeats and delays; about half of them are killed.

A small round of each is part of every test run (tests/servers/test_fire.py)."""

import random
from pathlib import Path

import pytest
from faults.tally import SEED, TALLY
from servers import fire
from servers.fixtures import database, mlflow, proxy
from servers.proxy import Proxy

__all__ = ["database", "mlflow", "proxy"]
pytestmark = pytest.mark.faults


def counted(where: fire.Range, name: str, promoters: int, rounds: int) -> None:
    TALLY.numbers[f"promoters on {name}"] = promoters * rounds
    TALLY.numbers[f"promoters killed on {name}"] = where.killed
    assert where.killed >= 0.4 * promoters * rounds
    assert where.told["ok"] >= 1
    assert where.told["refused"] >= 1
    # A server that stays away for most of a minute is told as such; the same command finds out.
    assert where.told["unknown"] <= 0.02 * promoters * rounds, where.told


@pytest.mark.parametrize(("promoters", "rounds"), [(20, 2), (50, 5)])
def test_promoters_on_sqlite_take_effect_once_a_round(
    promoters: int, rounds: int, tmp_path: Path
) -> None:
    where = fire.sqlite(tmp_path, random.Random(SEED + promoters))
    targets = [fire.enroll(where, seed) for seed in range(1, 5)]
    assert fire.rounds(where, promoters, rounds, targets) == []
    counted(where, "sqlite", promoters, rounds)


@pytest.mark.parametrize(("promoters", "rounds"), [(50, 5)])
def test_promoters_on_a_server_that_loses_answers_take_effect_once_a_round(
    promoters: int, rounds: int, proxy: Proxy, tmp_path: Path
) -> None:
    where = fire.behind(proxy, tmp_path, random.Random(SEED + promoters))
    targets = [fire.enroll(where, seed) for seed in range(1, 5)]
    assert fire.rounds(where, promoters, rounds, targets) == []
    counted(where, "postgresql", promoters, rounds)
    assert sum(proxy.struck.values()) >= 200, dict(proxy.struck)


def test_operators_who_roll_back_at_once_through_a_bad_network_take_one_step_back(
    proxy: Proxy, tmp_path: Path
) -> None:
    where = fire.behind(proxy, tmp_path, random.Random(SEED))
    targets = [fire.enroll(where, seed) for seed in (1, 2, 3)]
    for _ in range(2):
        for target in targets:
            registry = where.registry
            fire.promotes(target, registry.state().head)(registry)
        before = where.registry.state()
        words, hung = fire.volley(where, [fire.rolls_back(before.head)] * 12)
        assert fire.judged(where, before, words, hung) == []
        state = where.registry.state()
        assert (state.champion, state.quarantined) == (targets[1], {targets[2]})
