"""Every point of every room that writes, made to fail in every way, in a process of its own:
nothing torn is seen, and done again it says the same.
"""

import shutil
import signal
from functools import cache
from pathlib import Path

import pytest
from faults import rooms
from faults.tally import ACTIONS, TALLY

from stillhouse.failpoints import DECLARED

ENDS = {"kill": -9, "term": 143, "int": 130, "raise": 1, "enospc": 1, "eio": 1, "stop": -9}
HERE = [p for p in DECLARED if rooms.room_of(p)]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each room, the folder before its work; copied back to one place each time, since MLflow
    keeps absolute paths.
    """
    return tmp_path_factory.mktemp("rooms")


@cache
def expected(name: str, place: Path) -> str:
    folder = fresh(name, place)
    assert rooms.finished(rooms.start(name, folder)) == 0
    return rooms.words(folder)


def fresh(name: str, place: Path) -> Path:
    kept, folder = place / f"{name}.kept", place / name
    if not kept.exists():
        rooms.prepared(name, folder)
        shutil.copytree(folder, kept)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)
    return folder


def _room(point: str) -> str:
    name = rooms.room_of(point)
    assert name is not None
    return name


def struck(point: str, action: str, place: Path) -> list[str]:
    """Fail once at a point, look, do it again; return what is wrong."""
    name = _room(point)
    want, folder = expected(name, place), fresh(name, place)
    code = rooms.finished(rooms.start(name, folder, f"{point}={action}"))
    TALLY.point(point, action)
    broken = [] if code == ENDS[action] else [f"it ended with {code}"]
    broken += TALLY.held("I10", rooms.torn(name, folder))
    again = rooms.finished(rooms.start(name, folder))
    TALLY.recoveries += 1
    broken += TALLY.held(
        "I6",
        []
        if again == 0 and rooms.words(folder) == want
        else [f"done again it ended with {again}: {rooms.words(folder)[:300]}"],
    )
    return broken + TALLY.held("I12", [f"{left} is left" for left in rooms.left_in(folder)])


@pytest.mark.parametrize(
    "point", ["workspace.before_replace", "pipeline.between_swaps", "tuning.before_tell"]
)
def test_killed_between_two_effects_it_goes_on(point: str, pristine: Path) -> None:
    assert struck(point, "kill", pristine) == []


@pytest.mark.faults
@pytest.mark.parametrize("point", HERE)
def test_a_point_that_fails_in_any_way_leaves_nothing_torn_and_is_made_good(
    point: str, pristine: Path
) -> None:
    ends = [action for action in ACTIONS if action != "stop"]
    broken = {action: wrong for action in ends if (wrong := struck(point, action, pristine))}
    assert broken == {}


@pytest.mark.faults
@pytest.mark.parametrize("point", HERE)
def test_stopped_for_a_while_and_woken_up_it_ends_well(point: str, pristine: Path) -> None:
    name = _room(point)
    want, folder = expected(name, pristine), fresh(name, pristine)
    assert (
        rooms.finished(rooms.start(name, folder, f"{point}=stop"), when_stopped=signal.SIGCONT) == 0
    )
    TALLY.point(point, "stop")
    assert (
        TALLY.held("I6", [] if rooms.words(folder) == want else ["other words after a pause"]) == []
    )
