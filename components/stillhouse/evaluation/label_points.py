"""From which probability on each of several labels is given: a threshold a label, chosen on val
rows alone as that of two classes is.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stillhouse.evaluation.operating import Criterion, choose

FEWEST = 10  # val rows with a label, and as many without; of fewer a threshold is chance
HALF = 0.5


def choose_each(criterion: Criterion, odds: Tensor, targets: Tensor) -> list[float | None]:
    """Return each label's threshold: rows with that probability or more are given it. None where
    fewer than ten val rows have the label, or have it not, among those of which it is known.

    Args:
        criterion: See `operating.Criterion`; a value itself needs no rows.
        odds: Log-odds [N, L] of val rows.
        targets: [N, L], 1, 0 or NaN where nobody knows.
    """
    fixed = isinstance(criterion, Mapping) and "value" in criterion
    chosen: list[float | None] = []
    for at in range(targets.shape[1]):
        there = ~targets[:, at].isnan()
        positive = targets[there, at] == 1
        few = min(int(positive.sum()), int((~positive).sum())) < FEWEST
        scores = odds[there, at].double().sigmoid()
        keeps = few and not fixed
        chosen.append(None if keeps else choose(criterion, scores.numpy(), positive.numpy()))
    return chosen


def filled(chosen: Sequence[float | None]) -> tuple[float, ...]:
    """Return a threshold for every label: one half where none could be chosen."""
    return tuple(HALF if each is None else each for each in chosen)


def called(odds: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Return the decisions at these thresholds as log-odds [N, L], 1 for yes and −1 for no, so that
    whatever looks at decisions alone can be asked of them.
    """
    given = odds.double().sigmoid() >= torch.tensor(thresholds, dtype=torch.float64)
    return torch.where(given, 1.0, -1.0)
