"""A changed byte in a result, or in what DVC keeps of it, is found by hash before anybody uses it,
made good, and told.
"""

import json

import pytest
import yaml
from faults import rooms
from faults.flow import small
from faults.invariants import Case, Science, breaches
from faults.tally import TALLY
from integration.house import House

from stillhouse.failpoints import STEPS
from stillhouse_flows import databases


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A project whose retrain has ended well."""
    made = small(tmp_path_factory.mktemp("spoilt") / "a house")
    databases.seed(made.root)
    assert rooms.finished(rooms.start("retrain", made.root), 300) == 0, rooms.error(made.root)
    return made


def outputs(house: House, step: str) -> list[str]:
    """Return a file of each of a step's recorded outputs."""
    lock = yaml.safe_load((house.root / "dvc.lock").read_text())["stages"][step]
    paths = [house.root / out["path"] for out in lock["outs"]]
    files = [p if p.is_file() else min(q for q in p.rglob("*") if q.is_file()) for p in paths]
    return [str(p.relative_to(house.root)) for p in files if p.stat().st_size]


def made_good(house: House) -> tuple[dict[str, str], str]:
    """Retrain; return how each step came up to date, and what was told."""
    code = rooms.finished(rooms.start("retrain", house.root), 300)
    TALLY.recoveries += 1
    assert code == 0, rooms.error(house.root)
    told = json.loads(rooms.words(house.root))
    assert told["outcome"] == "unchanged"
    return told["states"], " ".join(told["said"])


@pytest.mark.faults
@pytest.mark.parametrize("step", STEPS)
def test_a_changed_byte_is_found_made_good_and_told(
    step: str, house: House, unhurt: Science
) -> None:
    files = outputs(house, step)
    rooms.spoil(house.root, files[0], cache=False)
    TALLY.fault("artifact spoilt")
    states, said = made_good(house)
    assert states[step] == "restored"
    assert "differs from its recorded hash; it is put back" in said
    for name in files:
        rooms.spoil(house.root, name)
        TALLY.fault("cache object spoilt")
        states, said = made_good(house)
        assert states[step] == "ran", name
        assert "differs from its recorded hash; it is made again" in said
    assert breaches(Case(house, unhurt)) == []
