"""How long an act is tried on a server that answers badly: some time after its last answer, and
never for ever.
"""

from dataclasses import dataclass, field

from stillhouse.clock import Clock
from stillhouse.errors import StillhouseError

PAUSE = 0.2  # seconds, doubled up to LONGEST
LONGEST = 3.0


@dataclass
class Patience:
    """Between the tries of one act.

    Attributes:
        clock: For the pauses.
        silence: Seconds without any answer after which to give up.
        whole: Seconds after which to give up although answers come.
    """

    clock: Clock
    silence: float
    whole: float
    _heard: float = field(init=False)
    _end: float = field(init=False)
    _pause: float = field(init=False, default=PAUSE)

    def __post_init__(self) -> None:
        self._heard = self.clock.seconds()
        self._end = self._heard + self.whole

    def answered(self) -> None:
        """Begin to count the silence again: the server is there."""
        self._heard = self.clock.seconds()

    def wait(self, problem: StillhouseError, *, at_most: float | None = None) -> None:
        """Pause before the next try.

        Args:
            problem: What the last try met.
            at_most: Seconds from now that are enough for this problem, whatever is answered.

        Raises:
            StillhouseError: The problem, once patience is at its end.
        """
        now = self.clock.seconds()
        if at_most is not None:
            self._end = min(self._end, now + at_most)
        if now > min(self._end, self._heard + self.silence):
            raise problem
        self.clock.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST)
