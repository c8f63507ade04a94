"""How far the probabilities of several labels a row can be relied on: calibration over every label
of every row that is known, and of each label by itself.

Pure functions of log-odds [N, L] and labels [N, L], 1, 0 or NaN where nobody knows; float64 inside.
What is binned is the probability that a row has the label, not the confidence in yes or no: a label
that is told too often and missed too often by the same amount is not calibrated.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.evaluation.intervals import Interval, bootstrap
from stillhouse.evaluation.metrics import BINS, bin_of

FEWEST = 40  # rows of which a label is known; of fewer its error is mostly the noise of its bins
CANDIDATES = 32  # labels, the worst as observed, of which a resample's worst is taken


def ece_parts(odds: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 16]: probability − truth of a row's known labels, in each one's bin, and at the
    end how many they are.
    """
    total = torch.zeros(len(odds), BINS + 1, dtype=torch.float64)
    for at in range(odds.shape[1]):
        total += _parts(odds[:, at], targets[:, at])
    return total


def worst_parts(odds: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 16 K]: the same of each label that may be the worst, side by side; K is 0 where no
    label is known in 40 rows.
    """
    known = [(error, at) for at, error in enumerate(by_label(odds, targets)) if error is not None]
    kept = [
        _parts(odds[:, at], targets[:, at])
        for _, at in sorted(known, key=lambda one: (-one[0], one[1]))[:CANDIDATES]
    ]
    return torch.cat([torch.zeros(len(odds), 0, dtype=torch.float64), *kept], dim=1)


def _parts(odds: Tensor, targets: Tensor) -> Tensor:
    told, there = odds.double().sigmoid(), ~targets.isnan()
    gap = (told - (targets == 1).double()) * there
    return torch.cat([F.one_hot(bin_of(told), BINS) * gap[:, None], there[:, None]], dim=1)


def ece_of_sums(sums: Tensor) -> Tensor:
    """Return the calibration error [R] of sums [R, 16]: the mean gap of probability and share of
    labels that are there, over 15 equally wide bins, weighted by their labels.

    Source:
        Guo, Pleiss, Sun and Weinberger 2017, arXiv:1706.04599, equation 3, of yes or no.
    """
    return sums[..., :-1].abs().sum(dim=-1) / sums[..., -1].clamp_min(1.0)


def worst_of_sums(sums: Tensor) -> Tensor:
    """Return the worst label's calibration error [R] of sums [R, 16 K], K at least 1."""
    return ece_of_sums(sums.reshape(len(sums), -1, BINS + 1)).amax(dim=1)


def by_label(odds: Tensor, targets: Tensor) -> list[float | None]:
    """Return each label's calibration error; None where it is known in fewer than 40 rows."""
    enough = ((~targets.isnan()).sum(dim=0) >= FEWEST).tolist()
    return [
        float(ece_of_sums(_parts(odds[:, at], targets[:, at]).sum(dim=0))) if own else None
        for at, own in enumerate(enough)
    ]


def worst(odds: Tensor, targets: Tensor, names: Sequence[str]) -> tuple[str, float] | None:
    """Return the label that is calibrated worst, with its error; None where none is known in 40
    rows.
    """
    told = zip(names, by_label(odds, targets), strict=True)
    return max(
        ((name, error) for name, error in told if error is not None),
        key=lambda one: one[1],
        default=None,
    )


def scores(odds: Tensor, targets: Tensor) -> dict[str, float]:
    """Return `ece` and `worst_ece`; the second is left out where no label is known in 40 rows."""
    each = [error for error in by_label(odds, targets) if error is not None]
    found = {"ece": float(ece_of_sums(ece_parts(odds, targets).sum(dim=0)))}
    return found | ({"worst_ece": max(each)} if each else {})


def intervals(odds: Tensor, targets: Tensor, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % interval of each, by resampled rows: labels of one row do not err
    independently.
    """
    found = {"ece": bootstrap(ece_parts(odds, targets), ece_of_sums, seed=seed)}
    parts = worst_parts(odds, targets)
    return found | (
        {"worst_ece": bootstrap(parts, worst_of_sums, seed=seed)} if parts.shape[1] else {}
    )
