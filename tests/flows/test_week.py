"""A week of scheduled runs that nobody looks after: 168 hours in which data grow, settings change,
operators interfere and about every third run is killed, cut off or starved; a seed tells the story
again.

Each run is a process of its own that does what the worker's does but for telling Prefect; every
twelfth is the command line itself.
"""

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from faults import flow, invariants, rooms
from faults.invariants import CLOCKS, Case, Science
from faults.tally import SEED
from integration.house import WARNINGS, House, merged, project
from sklearn.datasets import load_digits

from stillhouse.failpoints import DECLARED
from stillhouse.pipeline import Project, publish

pytestmark = [pytest.mark.stories, pytest.mark.filterwarnings(*WARNINGS)]

HOURS = int(os.environ.get("STILLHOUSE_WEEK_HOURS", "168"))
FIRST_ROWS = 600
RAN, REFUSED, ENDED = (0, 3), (0, 1, 3), (0, 1, 3, -9, 130, 143)
CHANGES = {
    "prepare": {"source": {"name": "npz", "path": "rows.npz"}, "kind": "image"},
    "teacher": {"gate": None},
}
# What depends on who was champion, or on a clock; all else follows from data and settings alone.
AFTER_ALL = ("artifacts/gate/", "artifacts/report/")
NOTHING_OF = ("i6", "i7", "i13")  # they know one retrain alone


@dataclass
class Week:
    """The house, and what has happened to it.

    Attributes:
        house: A project that takes seconds.
        lot: Where chance comes from.
        rows: How many there are by now.
        told: What each run that lived said, by hour.
        saw: How often each thing happened.
    """

    house: House
    lot: random.Random
    rows: int = FIRST_ROWS
    told: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    saw: "Counter[str]" = field(default_factory=Counter)

    # --- what others do -------------------------------------------------------------------------

    def meanwhile(self) -> None:
        """Let an hour's events happen: none, one or some."""
        for chance, event in (
            (0.25, self.data_grow),
            (0.05, self.settings_change),
            (0.04, self.somebody_rolls_back),
            (0.04, self.somebody_moves_an_alias),
            (0.03, self.results_are_deleted),
            (0.03, self.a_result_rots),
            (0.02, self.a_lock_is_torn),
        ):
            if self.lot.random() < chance and event():
                self.saw[event.__name__] += 1

    def data_grow(self) -> bool:
        self.rows = min(self.rows + self.lot.randint(3, 20), 1797)
        write_rows(self.house.root / "rows.npz", self.rows)
        return True

    def settings_change(self) -> bool:
        path = self.house.root / "params.yaml"
        changed = merged(
            yaml.safe_load(path.read_text()), {"distill": {"epochs": self.lot.randint(10, 14)}}
        )
        path.write_text(yaml.safe_dump(changed, sort_keys=False))
        return True

    def somebody_rolls_back(self) -> bool:
        state = self.house.ledger()
        if state.previous is None:
            return False
        publish.rollback(Project.open(self.house.root), state.head)
        return True

    def somebody_moves_an_alias(self) -> bool:
        versions = [v.number for v in self.house.registry().versions()]
        if not versions:
            return False
        self.house.registry().set_alias("champion", self.lot.choice(versions))
        return True

    def results_are_deleted(self) -> bool:
        shutil.rmtree(self.house.root / "artifacts", ignore_errors=True)
        return True

    def a_result_rots(self) -> bool:
        path = self.house.root / "artifacts" / "distill" / "student.safetensors"
        if not path.is_file():
            return False
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
        return True

    def a_lock_is_torn(self) -> bool:
        path = self.house.root / ".dvc" / "tmp" / "rwlock"
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"write": {"/to')
        return True

    # --- the scheduled run ----------------------------------------------------------------------

    def run(self, hour: int) -> None:
        """Run once, as the schedule says; perhaps under fire, perhaps beside another."""
        drawn = self.lot.random()
        if hour % 12 == 11:
            ended = flow.run(self.house)
            assert ended.done.code in RAN, ended.done.said[-2000:]
            self.told.append((hour, json.loads(ended.done.out)))
            self.saw["by the command line"] += 1
        elif drawn < 0.25:
            point, action = self.lot.choice(DECLARED), self.lot.choice(tuple(flow.ENDS))
            self.ends(hour, self.start(f"{point}={action}@{self.lot.randint(1, 2)}"), ENDED)
        elif drawn < 0.38:
            process = self.start()
            time.sleep(self.lot.random() * 6)
            process.kill()
            self.ends(hour, process, ENDED)
        elif drawn < 0.44:
            pair = [self.start(), self.start(told="other")]
            for process, name in zip(pair, ("", "other"), strict=True):
                self.ends(hour, process, RAN, told=name)
            self.saw["two at once"] += 1
        else:
            self.ends(hour, self.start(), RAN)

    def word(self, told: str) -> Path:
        return self.house.home.parent / f"{told or 'scheduled'}.told"

    def start(self, points: str = "", told: str = "") -> Any:
        for path in (self.word(told), Path(f"{self.word(told)}.error")):
            path.unlink(missing_ok=True)
        return rooms.start("retrain", self.house.root, points, told=self.word(told))

    def ends(self, hour: int, process: Any, codes: tuple[int, ...], told: str = "") -> None:
        code, word = rooms.finished(process, 300), self.word(told)
        problem = Path(f"{word}.error")
        said = problem.read_text() if problem.is_file() else ""
        assert code in codes, f"hour {hour} ended with {code}: {said}"
        if code in (0,) and word.is_file():
            self.told.append((hour, json.loads(word.read_text())))
        self.saw[f"ended with {code}"] += 1


def write_rows(path: Path, count: int) -> None:
    """Put a larger file into the old one's place."""
    found = load_digits()
    aside = path.with_suffix(".new.npz")
    np.savez(aside, inputs=found.images[:count, None] / 16.0, targets=found.target[:count])
    os.replace(aside, path)


@pytest.fixture
def week(tmp_path: Path) -> Iterator[Week]:
    house = project(tmp_path / "a house", merged(flow.LESS, CHANGES))
    write_rows(house.root / "rows.npz", FIRST_ROWS)
    rooms.PRELOAD[:] = rooms.WARM
    yield Week(house, random.Random(SEED))
    rooms.PRELOAD.clear()


def untouched(house: House) -> dict[str, str]:
    """Return the hash of every result that follows from data and settings alone."""
    return {
        name: digest
        for name, digest in house.hashes().items()
        if not name.startswith(AFTER_ALL) and not name.endswith(CLOCKS)
    }


def test_a_week_of_runs_under_fire_has_one_history_and_ends_with_the_bits_of_a_quiet_one(
    week: Week, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    house, entries = week.house, ()
    for hour in range(HOURS):
        week.meanwhile()
        week.run(hour)
        now = tuple(house.registry().entries())
        assert now[: len(entries)] == entries, f"hour {hour}: an entry changed or is gone"
        entries = now
    last = [flow.run(house), flow.run(house)]
    assert [ended.done.code in RAN for ended in last] == [True, True], last[0].done.said[-2000:]
    assert flow.quiet(house) == []

    record_property("what happened", dict(week.saw))
    struck = sum(week.saw[f"ended with {code}"] for code in (-9, 1, 130, 143))
    assert struck >= HOURS // 12, week.saw
    state = house.ledger()
    ever = {effective.target for effective in state.effective}
    promoted = [told["version"] for _, told in week.told if told["outcome"] == "promoted"]
    assert len(promoted) >= HOURS // 24
    assert set(promoted) <= ever, "somebody was told of a promotion that there never was"
    case = Case(house, Science({}, {}, {}))
    checks = [i for i in invariants.INVARIANTS if not i.__name__.startswith(NOTHING_OF)]
    assert [broken for check in checks for broken in check(case)] == []

    reigns = house.json("history")["champions"]
    assert [reign["version"] for reign in reigns] == [e.target for e in state.effective]
    assert [one["until"] for one in reigns] == [
        *(two["since"] for _, two in pairwise(reigns)),
        None,
    ]

    quiet = project(tmp_path / "a quiet house", {})
    shutil.copy(house.root / "params.yaml", quiet.root / "params.yaml")
    write_rows(quiet.root / "rows.npz", week.rows)
    assert flow.run(quiet).done.code in RAN
    assert untouched(house) == untouched(quiet)
