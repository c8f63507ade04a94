"""How far a teacher is to be trusted in a row, by how sure it says it is and how often it was right
when it was as sure before.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SUREST = 15.0  # log-odds; beyond, a confidence is rounding
STEPS = 50  # of Newton's method, which needs about six
RIDGE = 1.0  # on the slope, as one row would have: a member that is always right has no finite one
LEAST = 1e-3  # of a weight, so that the weights of a row never sum to 0


@dataclass(frozen=True)
class Trust:
    """The chance that a teacher is right, as a logistic function of its log-odds.

    Attributes:
        slope: Not below 0: being surer never makes it less right.
        offset: Log-odds of being right where it gives its answer even odds.
    """

    slope: float
    offset: float

    def right(self, logits: Tensor) -> Tensor:
        """Return the chance [B] that each answer [B, C] is right."""
        return torch.sigmoid(self.slope * log_odds(logits) + self.offset)

    def weight(self, logits: Tensor) -> Tensor:
        """Return a weight [B]: the chance of being right beyond guessing."""
        return (self.right(logits) - 1 / logits.shape[1]).clamp_min(LEAST)


def log_odds(logits: Tensor) -> Tensor:
    """Return the log-odds [B] of each row's first class against all others, float64."""
    best, rest = logits.double().topk(2, dim=1).values.unbind(1)
    if logits.shape[1] > 2:
        others = logits.double().scatter(1, logits.argmax(1, keepdim=True), -torch.inf)
        rest = others.logsumexp(dim=1)
    return (best - rest).clamp(-SUREST, SUREST)


def learn(logits: Tensor, targets: Tensor) -> Trust:
    """Return the trust that a teacher earned on labelled rows.

    Args:
        logits: Its answers [N, C], N ≥ 1.
        targets: [N].

    Source:
        Platt 1999, "Probabilistic outputs for support vector machines", section 2.2: the targets
        are drawn in by one row on each side, so that a teacher without a fault is not trusted
        without end.
    """
    x, right = log_odds(logits), (logits.argmax(dim=1) == targets).double()
    hits = float(right.sum())
    misses = len(right) - hits
    wanted = torch.where(right == 1, (hits + 1) / (hits + 2), 1 / (misses + 2)).double()
    columns = torch.stack([x, torch.ones_like(x)], dim=1)
    found = torch.zeros(2, dtype=torch.float64)
    ridge = torch.diag(torch.tensor([RIDGE, 1e-6], dtype=torch.float64))
    for _ in range(STEPS):
        chance = torch.sigmoid(columns @ found)
        slope = columns.T @ (chance - wanted) + ridge @ found
        curve = columns.T @ (columns * (chance * (1 - chance))[:, None]) + ridge
        found = found - torch.linalg.solve(curve, slope)
    if found[0] < 0 or not found.isfinite().all():
        share = (hits + 1) / (len(right) + 2)
        return Trust(0.0, float(torch.logit(torch.tensor(share, dtype=torch.float64))))
    return Trust(float(found[0]), float(found[1]))
