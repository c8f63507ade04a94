from collections.abc import Callable

from stillhouse.clock import ManualClock
from stillhouse.tuning.probe import fastest


def ways(clock: ManualClock, **seconds: float) -> dict[str, Callable[[], float]]:
    """Ways that do two units of work and take so long."""

    def work(took: float) -> Callable[[], float]:
        def done() -> float:
            clock.sleep(took)
            return 2.0

        return done

    return {name: work(took) for name, took in seconds.items()}


def test_the_fastest_is_taken_and_what_was_measured_is_told() -> None:
    clock = ManualClock()
    taken, took = fastest(ways(clock, one=4.0, two=1.0, three=2.0), clock)
    assert taken == "two"
    assert took == {"one": 2.0, "two": 0.5, "three": 1.0}


def test_a_later_way_has_to_be_faster_by_a_quarter() -> None:
    clock = ManualClock()
    assert fastest(ways(clock, one=1.0, two=0.81), clock)[0] == "one"
    assert fastest(ways(clock, one=1.0, two=0.79), clock)[0] == "two"
    assert fastest(ways(clock, one=1.0, two=1.0), clock)[0] == "one"


def test_one_slow_moment_decides_nothing() -> None:
    clock, slow = ManualClock(), iter([9.0, 0.1, 0.1])

    def hindered() -> float:
        clock.sleep(next(slow))
        return 1.0

    assert fastest({**ways(clock, one=1.0), "two": hindered}, clock)[0] == "two"
