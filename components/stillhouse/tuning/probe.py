"""Which of several ways of doing the same is fastest here and now: a short trial of each."""

import math
from collections.abc import Callable, Mapping

from stillhouse.clock import Clock

ROUNDS = 5
MARGIN = 1.15
HOPELESS = (
    3.0,
    1.5,
)  # times the best so far: who is slower leaves after the first round, the second
MOST = 6  # steps a round
ENOUGH = 0.1  # seconds of one way in a round: one that takes longer does FEW steps, and may leave
FEW = 2


def fastest(
    ways: Mapping[str, Callable[[int], float]], clock: Clock
) -> tuple[str, dict[str, float]]:
    """Try ways in turn, several rounds of them, and return the one to take.

    They are gone through in order, and a later one is taken in place of an earlier one only if it
    is faster by 15 %: where two are all but equal, noise must not decide. What a process does
    at its very first step is nobody's: one is done before. The first round is one step each; then a
    way that takes long and is far behind is tried no more, so that looking for the fastest costs
    little of what it saves.

    Args:
        ways: Name → does so many steps, and returns how many units of work they were.
        clock: Measures the processor's time, the least of several rounds.

    Returns:
        The name, and of each way the seconds that a unit of work took.
    """
    least: dict[str, float] = {}
    steps = dict.fromkeys(ways, 1)
    next(iter(ways.values()))(1)
    for number in range(ROUNDS):
        took: dict[str, float] = {}
        for name, count in steps.items():
            began = clock.worked()
            done = ways[name](count)
            took[name] = clock.worked() - began
            least[name] = min(took[name] / done, least.get(name, math.inf))
        if number == 0:
            steps = {name: _repeats(seconds) for name, seconds in took.items()}
        if number < len(HOPELESS):
            limit = HOPELESS[number] * min(least.values())
            long = [name for name in steps if took[name] > ENOUGH and least[name] > limit]
            steps = {name: count for name, count in steps.items() if name not in long}
    names = list(ways)
    taken = names[0]
    for name in names[1:]:
        if least[name] * MARGIN < least[taken]:
            taken = name
    return taken, least


def _repeats(seconds: float) -> int:
    """How many steps a round has where one took so long."""
    return max(FEW, min(MOST, int(ENOUGH / max(seconds, 1e-9))))
