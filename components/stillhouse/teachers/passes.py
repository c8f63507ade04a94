"""In how many rows at once a teacher answers soonest, its answers the same to the bit.

What a net computes between its layers grows with the rows that it sees at once; where that no
longer fits a processor's caches, smaller batches are sooner done. A short probe tries some, and
takes one only where every answer of the probe is the same bits, so that what a store holds never
hangs on how fast a machine was at the time.
"""

from collections.abc import Callable

import torch

from stillhouse.clock import Clock
from stillhouse.data.dataset import Dataset
from stillhouse.teachers.ask import BATCH
from stillhouse.teachers.teacher import Oracle

SMALLER = (256, 64)  # rows at once that are tried
WORTH_IT = 8 * BATCH  # rows from which on a probe of one and a half batches can pay for itself
SOONER = 0.95  # of the time of a whole batch: less is no gain that a clock could tell


def rows_at_once(
    oracle: Oracle, dataset: Dataset, clock: Clock, *, told: Callable[[int, float], None]
) -> int:
    """Return how many rows `ask` should give a teacher at once, at most `BATCH`.

    Args:
        oracle: The teacher. One that is no model of ours to run, such as an endpoint, is not
            probed.
        dataset: What it will be asked about, N rows; below `WORTH_IT` nothing is tried.
        clock: The time that this process works is compared, which others beside it change little.
        told: Called with (rows at once, seconds a row) for each size that was timed.
    """
    if not oracle.divisible or len(dataset) < WORTH_IT:
        return BATCH
    inputs, rows = dataset.inputs[:BATCH], dataset.rows[:BATCH]
    oracle.logits(inputs[: SMALLER[-1]], rows[: SMALLER[-1]])  # warm
    taken: dict[int, float] = {}
    whole = torch.empty(0)
    for size in (BATCH, *SMALLER):
        seen = BATCH if size == BATCH else SMALLER[0]
        began = clock.worked()
        parts = [
            oracle.logits(inputs[at : at + size], rows[at : at + size])
            for at in range(0, seen, size)
        ]
        seconds = (clock.worked() - began) / seen
        told(size, seconds)
        found = torch.cat(parts)
        if size == BATCH:
            whole = found
        if torch.equal(found, whole[:seen]):
            taken[size] = seconds
    best = min(taken, key=lambda size: taken[size])
    return best if taken[best] < SOONER * taken[BATCH] else BATCH
