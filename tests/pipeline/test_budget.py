from pathlib import Path
from typing import Any

import pytest

from stillhouse.clock import ManualClock
from stillhouse.errors import OverBudget, SettingsError
from stillhouse.pipeline import budget
from stillhouse.pipeline.budget import CutShort, Purse
from stillhouse.workspace import Workspace

DISTILL = {"seeds": 2, "controls": ["none"]}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def purse(place: Path, clock: ManualClock, limit: float | None, **last: float) -> Purse:
    """A purse in a workspace whose steps took so many seconds in their last runs."""
    workspace = Workspace(place, clock)
    for name, took in last.items():
        workspace.write_json(f"artifacts/{name}/{name}.timing.json", {"seconds": took})
    return Purse(limit, workspace, {"distill": DISTILL})


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, None),
        ({"budget": None}, None),
        ({"budget": {}}, None),
        ({"budget": {"hours": 2}}, 7200),
        ({"budget": {"usd": 6}, "report": {"usd_per_hour": 3}}, 7200),
        ({"budget": {"usd": 6, "hours": 1}, "report": {"usd_per_hour": 3}}, 3600),
    ],
)
def test_the_smaller_limit_counts(params: dict[str, Any], limit: float | None):
    assert budget.seconds(params) == limit


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"budget": {"hours": 0}}, "budget.hours"),
        ({"budget": {"usd": -1}}, "budget.usd"),
        ({"budget": {"usd": 1}}, "usd_per_hour"),
        ({"budget": {"euro": 1}}, "euro"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(params: dict[str, Any], where: str):
    with pytest.raises(SettingsError, match=where):
        budget.seconds(params)


def test_a_step_that_took_more_than_is_left_is_not_begun(tmp_path: Path, clock: ManualClock):
    mine = purse(tmp_path, clock, 100, distill=60)
    mine.before("distill")  # positive control: it fits
    mine.paid(50)
    with pytest.raises(OverBudget, match=r"50\.0 s of 100\.0 s are left; it took 60\.0 s") as said:
        mine.before("distill")
    assert said.value.exit_code == 3


def test_without_an_earlier_run_a_step_begins_while_anything_is_left(
    tmp_path: Path, clock: ManualClock
):
    mine = purse(tmp_path, clock, 100)
    mine.paid(99)
    mine.before("teacher")
    mine.paid(1)
    with pytest.raises(OverBudget, match="nothing is left"):
        mine.before("knowledge")


def test_gate_and_report_judge_what_was_paid_for_whatever_is_left(
    tmp_path: Path, clock: ManualClock
):
    mine = purse(tmp_path, clock, 1, gate=50)
    mine.paid(2)
    mine.before("gate")
    seen: list[int] = []
    mine.during("report", lambda done, total, note: seen.append(done))(1, 100, "")
    assert seen == [1]


def test_a_step_that_turns_out_too_long_is_stopped_by_how_far_it_came(
    tmp_path: Path, clock: ManualClock
):
    mine = purse(tmp_path, clock, 100)
    watched = mine.during("distill", lambda done, total, note: None)
    clock.sleep(10)
    watched(10, 90, "")  # 90 s in all: it fits
    clock.sleep(10)
    with pytest.raises(OverBudget, match=r"180\.0 s|3\.0 min.*first 10 of 90"):
        watched(10, 90, "")


def test_a_slow_start_is_not_believed(tmp_path: Path, clock: ManualClock):
    mine = purse(tmp_path, clock, 100)
    clock_before = clock.elapsed
    watched = mine.during("distill", lambda done, total, note: None)
    clock.sleep(4)
    watched(1, 900, "")  # an hour, if it went on like that
    assert clock.elapsed == clock_before + 4


def test_a_search_is_cut_to_the_trials_that_fit_with_what_follows_them(
    tmp_path: Path, clock: ManualClock
):
    mine = purse(tmp_path, clock, 100, export=4, robustness=6)
    watched = mine.during("tune", lambda done, total, note: None)
    clock.sleep(2)
    watched(1, 60, "")
    clock.sleep(2)
    # 2 arms x 30 trials x 2 s do not fit. Left: 100 - 4 (spent) - 2 arms x 2 seeds x 2 s - 10 = 78.
    with pytest.raises(CutShort, match="first 2 of 60") as cut:
        watched(2, 60, "")
    assert cut.value.trials == 78 // (2 * 2)


def test_a_search_of_which_not_one_trial_fits_is_just_over(tmp_path: Path, clock: ManualClock):
    mine = purse(tmp_path, clock, 10)
    watched = mine.during("tune", lambda done, total, note: None)
    clock.sleep(6)
    with pytest.raises(OverBudget) as over:
        watched(1, 60, "")
    assert not isinstance(over.value, CutShort)


def test_a_search_that_fits_is_left_alone(tmp_path: Path, clock: ManualClock):
    mine = purse(tmp_path, clock, 100)
    seen: list[int] = []
    watched = mine.during("tune", lambda done, total, note: seen.append(done))
    for done in range(1, 41):
        clock.sleep(2)
        watched(done, 40, "")
    assert seen == list(range(1, 41))


def test_without_a_budget_nothing_is_ever_stopped(tmp_path: Path, clock: ManualClock):
    mine = purse(tmp_path, clock, None, distill=1e9)
    mine.paid(1e9)
    mine.before("distill")

    def progress(done: int, total: int, note: str) -> None:
        pass

    assert mine.during("distill", progress) is progress
