"""Does a model know anything of a single row? Soft answers that are the same for every row can help
a student too, by softening its labels; they tell it nothing.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.evaluation.intervals import Interval

SMALLEST = math.log(1e-9)  # a probability below counts as this: one row must not outvote all others


def knowing(logits: Tensor, targets: Tensor, level: float = 0.95) -> Interval:
    """Return by how much likelier a model finds a row's class than it finds it for other rows: the
    mean of log p(y | x) − the mean over other rows x' of log p(y | x').

    It is 0 for a model whose answers do not depend on the row, and 0 but for chance where they have
    nothing to do with its class; accuracy cannot tell that where one class is rare.

    Args:
        logits: [N, C].
        targets: [N], int64, all known.
        level: Coverage of the interval, Student's t over the rows.

    Returns:
        [low, estimate, high] in nats a row; all 0 with fewer than two rows.

    Example:
        >>> sure = torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, 4.0]])
        >>> round(knowing(sure, torch.tensor([0, 1, 0, 1]))[1], 3)
        2.667
        >>> knowing(sure[:1].expand(4, -1), torch.tensor([0, 1, 0, 1]))
        (0.0, 0.0, 0.0)
    """
    count = len(targets)
    if count < 2:
        return 0.0, 0.0, 0.0
    log_p = logits.double().log_softmax(dim=1).clamp_min(SMALLEST)
    own = log_p.gather(1, targets[:, None])[:, 0]
    others = (log_p.sum(dim=0)[targets] - own) / (count - 1)
    return _interval(own - others, level)


def knowing_labels(odds: Tensor, targets: Tensor, level: float = 0.95) -> Interval:
    """Return the same of several labels a row: the sum over the labels that are known of how much
    likelier a model finds what is true of this row than it finds it for the other rows.

    Args:
        odds: Log-odds [N, L].
        targets: [N, L], NaN where nobody knows.
        level: Coverage of the interval, Student's t over the rows.

    Returns:
        [low, estimate, high] in nats a row; all 0 with fewer than two rows.
    """
    count = len(targets)
    if count < 2:
        return 0.0, 0.0, 0.0
    wide = odds.double()
    yes, no = (F.logsigmoid(side).clamp_min(SMALLEST) for side in (wide, -wide))
    told = torch.zeros(count, dtype=torch.float64)
    for log_p, truth in ((yes, targets == 1), (no, targets == 0)):
        others = (log_p.sum(dim=0) - log_p) / (count - 1)
        told += ((log_p - others) * truth).sum(dim=1)
    return _interval(told, level)


def _interval(told: Tensor, level: float) -> Interval:
    """Return the mean over rows [N] with its interval."""
    from scipy.stats import t

    count = len(told)
    told = torch.where(told.abs() < 1e-9, 0.0, told)  # what rounding alone makes of equal answers
    mean, spread = float(told.mean()), float(told.std()) / math.sqrt(count)
    half = float(t.ppf(0.5 + level / 2, count - 1)) * spread
    return mean - half, mean, mean + half
