"""Test rows of groups that were held out whole: how far apart the groups are, which intervals that
count rows do not know.
"""

import torch
from scipy import stats
from torch import Tensor

from stillhouse.receipt.outcomes import Json, Outcomes

LEVEL = 0.975  # of Student's t: 95 % on both sides


def grouped(found: Outcomes) -> Json | None:
    """Return how often the student is right in each held-out group; None without groups."""
    if found.groups is None or not found.task.decides:
        return None
    return by_group(found.right(found.logits), found.groups[found.known])


def by_group(right: Tensor, groups: Tensor) -> Json | None:
    """Return the spread of groups, each counted once.

    Args:
        right: [N], whether an answer is right.
        groups: [N], codes.

    Returns:
        `groups`, their number; `lowest` and `highest` share right; `over`, [low, mean, high] at
        95 % of the mean over groups like these (Student's t on the groups' shares, as if groups
        were the rows), cut to [0, 1]. None with fewer than two groups.
    """
    codes = torch.unique(groups)
    if len(codes) < 2:
        return None
    shares = torch.stack([right[groups == code].double().mean() for code in codes])
    mean, spread = float(shares.mean()), float(shares.std()) / len(codes) ** 0.5
    half = float(stats.t.ppf(LEVEL, len(codes) - 1)) * spread
    return {
        "groups": len(codes),
        "lowest": float(shares.min()),
        "highest": float(shares.max()),
        "over": [max(0.0, mean - half), mean, min(1.0, mean + half)],
    }
