"""One retrain, struck at every declared point in turn, each run going on where the one before was
stopped.
"""

import json
import time
from pathlib import Path

import pytest
from faults import rooms
from faults.flow import ENDS, IN_ORDER, run, small, strike
from faults.invariants import Case, Science, breaches
from faults.tally import ACTIONS, TALLY

from stillhouse.failpoints import DECLARED
from stillhouse_flows import databases

FEW = (
    "workspace.before_replace",
    "step.prepare.before_record",
    "training.batch@9",
    "pipeline.between_swaps",
    "tuning.before_tell",
    "release.after_append",
)


def chain(root: Path, unhurt: Science, points: tuple[str, ...], action: str) -> list[str]:
    """Strike a retrain without its command line at each point in turn, let the last run end, and
    return what is wrong.
    """
    house, broken, seconds = small(root), [], []
    databases.seed(root)
    for point in points:
        name, _, count = point.partition("@")
        began = time.monotonic()
        code = rooms.finished(
            rooms.start("retrain", root, f"{name}={action}{'@' + count if count else ''}"), 300
        )
        seconds.append(time.monotonic() - began)
        TALLY.point(name, action)
        broken += TALLY.held(
            "I11", [] if code in ENDS[action] else [f"{point}={action} ended with {code}"]
        )
    code = rooms.finished(rooms.start("retrain", root), 300)
    told = json.loads(rooms.words(root)) if code == 0 else {}
    return broken[:5] + breaches(Case(house, unhurt, (told, code), (), seconds))


# What no room meets, and the middle of a batch; rooms make the others fail in these ways.
ONLY_HERE = tuple(p for p in IN_ORDER if p in rooms.WHOLE or p.startswith("training.batch"))


def test_every_declared_point_is_met_in_a_room_or_on_the_way() -> None:
    in_order = {point.partition("@")[0] for point in IN_ORDER}
    assert in_order | {p for p in DECLARED if rooms.room_of(p)} == set(DECLARED)
    assert set(rooms.WHOLE) <= in_order <= set(DECLARED)


@pytest.mark.faults
@pytest.mark.parametrize("action", ACTIONS)
def test_a_retrain_struck_at_every_point_ends_as_if_it_had_not_been(
    action: str, tmp_path: Path, unhurt: Science
) -> None:
    points = IN_ORDER if action == "kill" else ONLY_HERE
    assert chain(tmp_path / "a struck house", unhurt, points, action) == []


@pytest.mark.faults
def test_the_command_line_killed_on_its_way_ends_as_if_it_had_not_been(
    tmp_path: Path, unhurt: Science
) -> None:
    house, broken, seconds = small(tmp_path / "a killed house"), [], []
    for point in FEW:
        ended, wrong = strike(house, point, "kill")
        broken += wrong
        seconds.append(ended.seconds)
    last = run(house)
    assert last.done.code == 0, last.done.said[-2000:]
    assert (
        broken
        + breaches(
            Case(
                house,
                unhurt,
                (json.loads(last.done.out), last.done.code),
                (),
                [*seconds, last.seconds],
            )
        )
        == []
    )
    assert json.loads(run(house).done.out)["outcome"] == "unchanged"
