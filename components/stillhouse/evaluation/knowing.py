"""Does a model know anything of a single row? Soft answers that are the same for every row can help
a student too, by softening its labels; they tell it nothing.
"""

import math

import torch
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
    from scipy.stats import t

    count = len(targets)
    if count < 2:
        return 0.0, 0.0, 0.0
    log_p = logits.double().log_softmax(dim=1).clamp_min(SMALLEST)
    own = log_p.gather(1, targets[:, None])[:, 0]
    others = (log_p.sum(dim=0)[targets] - own) / (count - 1)
    told = own - others
    told = torch.where(told.abs() < 1e-9, 0.0, told)  # what rounding alone makes of equal answers
    mean, spread = float(told.mean()), float(told.std()) / math.sqrt(count)
    half = float(t.ppf(0.5 + level / 2, count - 1)) * spread
    return mean - half, mean, mean + half
