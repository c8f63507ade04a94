from collections.abc import Callable

import pytest

from stillhouse.clock import ManualClock
from stillhouse.tuning.probe import fastest

Way = Callable[[int], float]


def ways(clock: ManualClock, **seconds: float) -> dict[str, Way]:
    """Ways that do two units of work a step, which takes so long."""

    def work(took: float) -> Way:
        def done(steps: int) -> float:
            clock.sleep(steps * took)
            return 2.0 * steps

        return done

    return {name: work(took) for name, took in seconds.items()}


def counted(way: Way, calls: list[int]) -> Way:
    def done(steps: int) -> float:
        calls.append(steps)
        return way(steps)

    return done


def test_the_fastest_is_taken_and_what_was_measured_is_told() -> None:
    clock = ManualClock()
    taken, took = fastest(ways(clock, one=4.0, two=1.0, three=2.0), clock)
    assert taken == "two"
    assert took == {"one": 2.0, "two": 0.5, "three": 1.0}


def test_a_later_way_has_to_be_faster_by_a_margin() -> None:
    clock = ManualClock()
    assert fastest(ways(clock, one=1.0, two=0.88), clock)[0] == "one"
    assert fastest(ways(clock, one=1.0, two=0.86), clock)[0] == "two"
    assert fastest(ways(clock, one=1.0, two=1.0), clock)[0] == "one"


def test_one_slow_moment_decides_nothing() -> None:
    clock, slow = ManualClock(), iter([2.5, 0.1, 0.1, 2.5, 2.5])

    def hindered(steps: int) -> float:
        clock.sleep(steps * next(slow))
        return float(steps)

    assert fastest({**ways(clock, one=2.0), "two": hindered}, clock)[0] == "two"


@pytest.mark.parametrize(
    ("slower", "rounds"), [(1.4, 5), (2.0, 2), (4.0, 1)], ids=["near", "behind", "far behind"]
)
def test_who_is_far_behind_is_tried_no_more(slower: float, rounds: int) -> None:
    clock, calls = ManualClock(), list[int]()
    both = ways(clock, one=1.0, two=slower)
    fastest({"one": both["one"], "two": counted(both["two"], calls)}, clock)
    assert len(calls) == rounds


def test_a_slow_start_of_something_short_decides_nothing() -> None:
    clock, slow = ManualClock(), iter([0.09, *[0.001] * 4])

    def cold(steps: int) -> float:
        clock.sleep(steps * next(slow))
        return float(steps)

    assert fastest({**ways(clock, one=0.004), "two": cold}, clock)[0] == "two"


@pytest.mark.parametrize(("seconds", "steps"), [(0.001, 6), (0.03, 3), (1.0, 2)])
def test_a_long_step_is_tried_less_often(seconds: float, steps: int) -> None:
    clock, calls = ManualClock(), list[int]()
    fastest({"one": counted(ways(clock, one=seconds)["one"], calls)}, clock)
    assert calls == [1, 1, *[steps] * 4], "the first one is not measured"
