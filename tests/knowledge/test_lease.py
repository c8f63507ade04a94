import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stillhouse.clock import ManualClock
from stillhouse.knowledge.bucket import Folder
from stillhouse.knowledge.lease import Lease, Life, Words, _dump

ELSEWHERE = Life("another machine", 1, "0")


class Careless(Folder):
    """A store that knows no conditions: whoever writes last is read."""

    def create(self, name: str, data: bytes) -> None:
        self.write(name, data)


def lease(place: Folder, owner: str = "us", **more: Any) -> Lease:
    return Lease(place, "question", owner, **{"term": 30.0, **more})


def names(place: Folder) -> list[str]:
    return place.names("question")


def theirs(place: Folder, number: int = 1, **changes: Any) -> Words:
    """Lay down the lease of somebody on another machine."""
    words = replace(Words("them", "n" * 16, 30.0, life=ELSEWHERE), **changes)
    place.write(f"question/lease-{number:06d}.json", _dump(words))
    return words


def test_one_holds_it_and_gives_it_back(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    us, them = lease(place), lease(place, "them")
    assert us.take(names(place))
    assert us.held(names(place))
    assert not them.take(names(place))
    assert not them.held(names(place))
    assert them.holder(names(place)) == "us"
    us.give_back()
    assert not us.held(names(place))
    assert them.take(names(place))
    them.give_back()


def test_of_two_who_saw_it_free_the_first_has_it(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    us, them, seen = lease(place), lease(place, "them"), names(place)
    assert us.take(seen)
    assert not them.take(seen)
    us.give_back()


def test_where_a_store_knows_no_condition_the_later_one_has_it_and_the_other_finds_out(
    tmp_path: Path,
) -> None:
    place = Careless(tmp_path)
    us, them, seen = lease(place), lease(place, "them"), names(place)
    assert us.take(seen)
    assert them.take(seen)
    assert [us.held(names(place)), them.held(names(place))] == [False, True]
    them.give_back()


def test_a_lease_that_does_not_change_for_its_term_is_taken_over(tmp_path: Path) -> None:
    place, clock = Folder(tmp_path), ManualClock()
    words, us = theirs(place), lease(Folder(tmp_path), clock=clock)
    for _ in range(3):  # it gives signs of life, whatever its clock says
        assert not us.take(names(place))
        clock.sleep(29)
        assert not us.take(names(place))
        words = theirs(place, beat=words.beat + 1)
    assert not us.take(names(place))
    clock.sleep(30)
    assert us.take(names(place))
    us.give_back()


@pytest.mark.parametrize("data", [b"", b"[]", b"{", _dump(Words("x", "y", 1e9))])
def test_a_lease_that_nobody_can_read_expires_like_any_other(tmp_path: Path, data: bytes) -> None:
    place, clock = Folder(tmp_path), ManualClock()
    place.write("question/lease-000001.json", data)
    us = lease(place, clock=clock)
    assert not us.take(names(place))
    clock.sleep(30)
    assert us.take(names(place))
    us.give_back()


def test_of_who_died_on_this_machine_nobody_waits_for_a_sign(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    code = "import os; from stillhouse.knowledge.lease import *; print(Life.of(os.getpid()))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    died = eval(told, {"Life": Life})
    alive = Life.of(os.getpid())
    assert died.machine == alive.machine
    theirs(place, life=alive)
    assert not lease(place).take(names(place))
    theirs(place, life=replace(alive, since="1"))  # its number was given to another process
    us = lease(place)
    assert us.take(names(place))
    us.give_back()
    theirs(Folder(tmp_path / "again"), life=died)
    us = lease(Folder(tmp_path / "again"))
    assert us.take(names(us.bucket))
    us.give_back()


def test_its_owner_gives_signs_of_life_and_hears_that_another_one_followed(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    us = lease(place, term=0.1)
    assert us.take(names(place))
    file, seen = tmp_path / "question" / "lease-000001.json", set()
    while len(seen) < 3:
        seen.add(file.read_bytes())
    assert us.held(names(place))
    theirs(place, 2)
    assert not us.held(names(place))
    last = file.read_bytes()
    us.give_back()  # what is not ours is not given back
    assert file.read_bytes() == last
    assert us.holder(names(place)) == "them"
