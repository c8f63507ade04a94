from itertools import pairwise

import pytest

from stillhouse.clock import ManualClock
from stillhouse.errors import ServerUnreachable
from stillhouse.release.patience import Patience

GONE = ServerUnreachable("gone.")


def tries(patience: Patience, *, answered: bool = False, at_most: float | None = None) -> float:
    """Wait again and again; return after how many seconds it was given up."""
    with pytest.raises(ServerUnreachable, match="gone"):  # noqa: PT012
        while True:
            if answered:
                patience.answered()
            patience.wait(GONE, at_most=at_most)
    return patience.clock.seconds()


def test_silence_is_borne_for_a_while_and_answers_for_longer_but_not_for_ever() -> None:
    assert 45 < tries(Patience(ManualClock(), 45, 120)) <= 48
    assert 120 < tries(Patience(ManualClock(), 45, 120), answered=True) <= 123
    assert 3 < tries(Patience(ManualClock(), 45, 120), answered=True, at_most=3) <= 6.5


def test_pauses_grow_up_to_three_seconds() -> None:
    clock, seen = ManualClock(), [0.0]
    patience = Patience(clock, 45, 120)
    for _ in range(8):
        patience.wait(GONE)
        seen.append(clock.seconds())
    pauses = [round(b - a, 6) for a, b in pairwise(seen)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]
