"""Sort rows into clusters by their features: k-means with a start that no random number decides, so
that the same rows give the same clusters.
"""

import torch
from torch import Tensor

STEPS = 50
ROWS_EACH = 25  # rows that a cluster should hold, about
FEWEST, MOST = 2, 24


def centres(features: Tensor, count: int | None = None) -> Tensor:
    """Return the centres of k clusters, [k, D].

    The first is the row nearest the mean, each other the row furthest from all before it (Gonzalez
    1985); then Lloyd's steps until nothing moves.

    Args:
        features: [N, D], finite, N at least 1.
        count: k; None: one for about 25 rows, 2 to 24.
    """
    rows = features.double()
    wanted = count or max(FEWEST, min(MOST, len(rows) // ROWS_EACH))
    first = int((rows - rows.mean(dim=0)).square().sum(dim=1).argmin())
    found = [first]
    away = (rows - rows[first]).square().sum(dim=1)
    while len(found) < min(wanted, len(rows)) and float(away.max()) > 0:
        found.append(int(away.argmax()))
        away = torch.minimum(away, (rows - rows[found[-1]]).square().sum(dim=1))
    middle = rows[found]
    for _ in range(STEPS):
        at = nearest(rows, middle)
        moved = torch.stack(
            [
                rows[at == k].mean(dim=0) if (at == k).any() else middle[k]
                for k in range(len(middle))
            ]
        )
        if torch.equal(moved, middle):
            break
        middle = moved
    return middle


def nearest(features: Tensor, middle: Tensor) -> Tensor:
    """Return which centre is nearest to each row, [N]; of equally near ones the first."""
    exact = "donot_use_mm_for_euclid_dist"  # a product of matrices rounds by their size
    return torch.cdist(features.double(), middle, compute_mode=exact).argmin(dim=1)
