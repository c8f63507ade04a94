"""How long one row takes, on one thread: the models take turns, so that a busy moment of the
machine is shared by all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.clock import Clock

WARM_UP = 50
CALLS = 500
# for all models together; a model too slow for 500 calls within it is measured on fewer, and says
# so
SECONDS = 2.0
FEWEST = 20
BINS = 20


@dataclass(frozen=True)
class Latency:
    """The time of one call.

    Attributes:
        p50_ms: Half of the calls were not slower.
        p95_ms: 95 % of them were not slower.
        calls: How many were timed.
        edges_ms: 21 edges of 20 equal bins, from the fastest call to the 99th percentile.
        counts: Calls in each bin; those beyond the last edge are in the last.
    """

    p50_ms: float
    p95_ms: float
    calls: int
    edges_ms: list[float]
    counts: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {
            "p50_ms": self.p50_ms,
            "p95_ms": self.p95_ms,
            "calls": self.calls,
            "histogram": {"edges_ms": self.edges_ms, "counts": self.counts},
        }


def measure(models: Mapping[str, Callable[[], object]], clock: Clock) -> dict[str, Latency]:
    """Time each model's call.

    Args:
        models: Name → one call at batch 1.
        clock: Its seconds only grow.
    """
    start = clock.seconds()
    _turns(models, clock, most=WARM_UP, least=1, end=start + SECONDS / 10)
    times = _turns(models, clock, most=CALLS, least=FEWEST, end=start + SECONDS)
    return {name: summary(found) for name, found in times.items()}


def _turns(
    models: Mapping[str, Callable[[], object]], clock: Clock, *, most: int, least: int, end: float
) -> dict[str, list[float]]:
    """Return the milliseconds of each call, by model."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(most):
        if turn >= least and clock.seconds() > end:
            break
        for name, call in models.items():
            start = clock.seconds()
            call()
            times[name].append(1000 * (clock.seconds() - start))
    return times


def summary(times: list[float]) -> Latency:
    """Return percentiles and histogram of the times (ms) of one or more calls."""
    import numpy as np

    found = np.asarray(times)
    low, top = float(found.min()), float(np.percentile(found, 99))
    edges = np.linspace(low, top if top > low else low + 1e-3, BINS + 1)
    counts, _ = np.histogram(found.clip(max=edges[-1]), edges)
    return Latency(
        float(np.percentile(found, 50)),
        float(np.percentile(found, 95)),
        len(times),
        [float(e) for e in edges],
        [int(c) for c in counts],
    )
