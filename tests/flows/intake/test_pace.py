from pathlib import Path

import pytest
from flows.intake import files

from stillhouse.clock import SYSTEM
from stillhouse.errors import UsageError
from stillhouse_flows.intake import look
from stillhouse_flows.intake.hints import Hints
from stillhouse_flows.intake.pace import Pace, measure, seconds_of, sized
from stillhouse_flows.intake.plan import Plan, plan, read


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, object, Path]:
    root = tmp_path_factory.mktemp("data")
    guess, dataset = read(look.guess(files.gas(root), root, Hints()), root)
    return plan(dataset, guess), dataset, root


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("5min", 300)]
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "ten minutes", "0m", "-5m", "5m3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time. Write 90s"):
        seconds_of(text)


def test_more_time_never_means_less_work_and_all_of_it_is_planned_inside(
    planned: tuple[Plan, object, Path],
) -> None:
    pace = Pace(epoch=0.05, teacher=5.0)
    found = [sized(planned[0], pace, seconds) for seconds in (120, 300, 600, 3600, 36000)]
    work = [each.trials * each.epochs for each in found]
    assert work == sorted(work)
    assert (found[-1].trials, found[-1].epochs) == (24, 200)
    assert [each.hours for each in found] == [120 / 3600, 300 / 3600, 600 / 3600, 1.0, 10.0]
    for each, seconds in zip(found, (120, 300, 600, 3600, 36000), strict=True):
        assert 3 * (each.trials + 3) * each.epochs * pace.epoch < 0.6 * seconds


def test_a_budget_that_pays_for_nothing_is_refused_with_one_that_would_do(
    planned: tuple[Plan, object, Path],
) -> None:
    pace = Pace(epoch=2.0, teacher=100.0)
    with pytest.raises(UsageError, match=r"60 s are too short.*Give it (\d+)m or more") as caught:
        sized(planned[0], pace, 60)
    enough = int(caught.value.fix.split("m or more")[0].removeprefix("Give it "))
    assert sized(planned[0], pace, 60.0 * enough).epochs >= 6


def test_the_student_is_timed_and_a_teacher_that_is_trained_here_is_not(
    planned: tuple[Plan, object, Path],
) -> None:
    made, dataset, root = planned
    pace = measure(made, dataset, root, SYSTEM)  # type: ignore[arg-type]
    assert 0 < pace.epoch < 10
    assert pace.teacher == 60.0
