"""One small round of each kind; the large ones are tests/faults/test_promoters.

How many die depends on how fast a machine is, so that these are stories, not part of every run.
"""

import random
from pathlib import Path

import pytest
from faults.tally import SEED
from servers import fire
from servers.proxy import Proxy

pytestmark = pytest.mark.stories


def test_promoters_of_whom_some_die_take_effect_once_on_sqlite(tmp_path: Path) -> None:
    where = fire.sqlite(tmp_path, random.Random(SEED))
    targets = [fire.enroll(where, seed) for seed in (1, 2)]
    assert fire.rounds(where, 8, 1, targets) == []
    assert where.killed >= 2


def test_promoters_of_whom_some_die_take_effect_once_on_a_server_that_loses_answers(
    proxy: Proxy, tmp_path: Path
) -> None:
    where = fire.behind(proxy, tmp_path, random.Random(SEED))
    targets = [fire.enroll(where, seed) for seed in (1, 2)]
    assert fire.rounds(where, 8, 1, targets) == []
    assert where.killed >= 2
    assert sum(proxy.struck.values()) >= 3, "the proxy struck nobody"


def test_operators_who_roll_back_at_once_take_one_step_back(tmp_path: Path) -> None:
    where = fire.sqlite(tmp_path, random.Random(SEED))
    for head, seed in enumerate((1, 2, 3)):
        fire.promotes(fire.enroll(where, seed), head)(where.registry)
    before = where.registry.state()
    words, hung = fire.volley(where, [fire.rolls_back(3)] * 6)
    assert fire.judged(where, before, words, hung) == []
    state = where.registry.state()
    assert (state.champion, state.previous, state.quarantined) == (2, 1, {3})
