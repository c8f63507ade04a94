"""Geometry of the figures: x in per cent of the width, y in px, so that text never scales.

Nothing here knows what it draws.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
SIDE = 1000  # of the square that curves are drawn in; it is stretched over the frame


@dataclass(frozen=True)
class Axis:
    """A linear scale.

    Attributes:
        low: Value at the left or the bottom.
        high: Value at the right or the top; above `low`.
        ticks: Round values between, rising.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Return where a value lies, 0 to 1; what is outside is put on the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def x(self, value: float) -> str:
        """Return a value's place across, in per cent."""
        return f"{short(100 * self.share(value))}%"

    def y(self, value: float, height: float) -> float:
        """Return a value's place down, in px of a frame `height` px high."""
        return round(height * (1 - self.share(value)), 1)

    def anchor(self, value: float) -> str:
        """Return the text anchor that keeps a tick's label inside the frame."""
        return (
            "start" if self.share(value) < 0.04 else "end" if self.share(value) > 0.96 else "middle"
        )


def axis(
    values: Iterable[float],
    *,
    floor: float | None = None,
    ceiling: float | None = None,
    wanted: int = 5,
) -> Axis:
    """Return a scale that holds all values and starts and ends at round ones.

    Args:
        values: At least one.
        floor: What no value can be below, such as 0 per cent.
        ceiling: What no value can be above.
        wanted: About how many ticks.
    """
    known = list(values)
    low, high = min(known), max(known)
    if high - low < 1e-9:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    step = _step((high - low) / max(1, wanted - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    bottom = first * step if floor is None else max(floor, first * step)
    top = last * step if ceiling is None else min(ceiling, last * step)
    ticks = tuple(
        round(k * step, 10)
        for k in range(first, last + 1)
        if bottom - 1e-9 <= k * step <= top + 1e-9
    )
    return Axis(bottom, top if top > bottom else bottom + step, ticks)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in STEPS if step * power >= rough - 1e-12)


def short(value: float) -> str:
    """Return a coordinate with as few digits as it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def tick(value: float) -> str:
    """Return a tick's label."""
    return f"{value:g}".replace("-", "−")


def polyline(xs: Sequence[float], ys: Sequence[float], across: Axis, up: Axis) -> str:
    """Return the points of a curve in the 1000 × 1000 square."""
    return " ".join(
        f"{SIDE * across.share(x):.0f},{SIDE * (1 - up.share(y)):.0f}"
        for x, y in zip(xs, ys, strict=True)
    )


def staircase(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return xs and ys of the best so far, by trial 1, 2, …; a step is taken at the trial that made
    it.
    """
    xs: list[float] = []
    ys: list[float] = []
    best = -math.inf
    for at, value in enumerate(values, start=1):
        if ys and value > best:
            xs.append(at)
            ys.append(best)
        best = max(best, value)
        xs.append(at)
        ys.append(best)
    return xs, ys
