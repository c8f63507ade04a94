"""Which of several ways of doing the same is fastest here and now: a short trial of each."""

from collections.abc import Callable, Mapping

from stillhouse.clock import Clock

REPEATS = 3
MARGIN = 1.25


def fastest(ways: Mapping[str, Callable[[], float]], clock: Clock) -> tuple[str, dict[str, float]]:
    """Try ways in turn, several rounds of them, and return the one to take.

    They are gone through in order, and a later one is taken in place of an earlier one only if it
    is faster by a quarter: where two are all but equal, noise must not decide.

    Args:
        ways: Name → does a little of the work, and returns how much.
        clock: Measures the processor's time, the least of several rounds.

    Returns:
        The name, and of each way the seconds that a unit of work took.
    """
    least: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, work in ways.items():
            began = clock.worked()
            done = work()
            took = (clock.worked() - began) / done
            least[name] = min(took, least.get(name, took))
    names = list(ways)
    taken = names[0]
    for name in names[1:]:
        if least[name] * MARGIN < least[taken]:
            taken = name
    return taken, least
