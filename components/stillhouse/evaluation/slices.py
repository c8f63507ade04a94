"""Find slices of the rows on which a model errs far more often than on the others: every trait,
every pair of traits, and triples of the most telling pairs.

Slices are *found* on one split and have to be *confirmed* on another, on which nothing was
searched: there the few that were found are judged together.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.evaluation.traits import LEAST_SHARE, Traits

MOST = 8  # slices that go on to be confirmed; each more widens every interval
PAIRED = 300  # traits that are paired, the most telling; pairs are their square
TRIPLED = 30  # pairs that get a third trait
OVERLAP = 0.5  # of two slices' rows, as a share of their union: the second tells nothing new


def search(traits: Traits, wrong: Tensor, *, most: int = MOST) -> list[tuple[int, ...]]:
    """Return the most telling conjunctions of up to three traits, most telling first.

    A slice tells as much as its errors would surprise if they fell at the rate of all rows (the
    binomial tail). Of slices that share most of their rows the first is kept.

    Args:
        traits: P traits of N rows.
        wrong: [N], bool: where the model errs.
        most: How many, at most.

    Returns:
        Places in `traits`, rising; fewer than `most` where there are fewer slices of at least 1 %
        of the rows and at least four of them.
    """
    least = max(4, round(LEAST_SHARE * len(wrong)))
    alone = _alone(traits, wrong, least)
    kept = [which for _, which in sorted(alone)[:PAIRED]]
    pairs = _joined(traits, wrong, [which for which in kept], least)
    triples = _joined(traits, wrong, [which for _, which in sorted(pairs)[:TRIPLED]], least)
    return _distinct(traits, sorted({*alone, *pairs, *triples}), most)


_Scored = tuple[float, tuple[int, ...]]


def _alone(traits: Traits, wrong: Tensor, least: int) -> list[_Scored]:
    holds = traits.holds.double()
    rows, errors = holds.sum(dim=1), holds @ wrong.double()
    scores = _surprise(errors.numpy(), rows.numpy(), float(wrong.double().mean()))
    return [(float(scores[at]), (at,)) for at in range(len(rows)) if rows[at] >= least]


def _joined(
    traits: Traits, wrong: Tensor, slices: Sequence[tuple[int, ...]], least: int
) -> list[_Scored]:
    """Score each slice with one more trait, all at once as a product of matrices."""
    if not slices:
        return []
    others = (
        sorted({at for which in slices for at in which})
        if len(slices[0]) == 1
        else range(len(traits.names))
    )
    added = list(others)
    own = torch.stack([traits.rows(which) for which in slices]).double()
    more = traits.holds[added].double()
    rows, errors = (own @ more.T).numpy(), ((own * wrong.double()) @ more.T).numpy()
    enough = np.argwhere(rows >= least)
    scores = _surprise(errors[tuple(enough.T)], rows[tuple(enough.T)], float(wrong.double().mean()))
    found: dict[tuple[int, ...], float] = {}
    for (a, b), score in zip(enough.tolist(), scores.tolist(), strict=True):
        which, new = slices[a], added[b]
        if traits.families[new] not in {traits.families[at] for at in which}:
            found[tuple(sorted((*which, new)))] = score
    return [(score, which) for which, score in found.items()]


def _surprise(
    errors: NDArray[np.float64], rows: NDArray[np.float64], rate: float
) -> NDArray[np.float64]:
    """Return the log of the binomial tail: the more negative, the more telling."""
    from scipy.stats import binom

    if rate in (0.0, 1.0):
        return -rows / max(float(rows.max(initial=1.0)), 1.0)  # nothing to tell: the largest first
    return np.asarray(binom.logsf(errors - 1, rows, rate))


def _distinct(traits: Traits, scored: Sequence[_Scored], most: int) -> list[tuple[int, ...]]:
    chosen: list[tuple[tuple[int, ...], Tensor]] = []
    for _, which in scored:
        if len(chosen) == most:
            break
        rows = traits.rows(which)
        if all(_overlap(rows, other) <= OVERLAP for _, other in chosen):
            chosen.append((which, rows))
    return [which for which, _ in chosen]


def _overlap(a: Tensor, b: Tensor) -> float:
    return float((a & b).sum()) / max(1, int((a | b).sum()))
