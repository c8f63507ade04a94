"""Teachers that answer probabilities: told from logits, and turned into them."""

import torch
from torch import Tensor

SMALLEST = (
    1e-12  # a probability of 0 would be −∞ as a logit; this one is far below what float32 adds to 1
)
ROUNDING = 1e-6
SUM_TOLERANCE = 1e-3  # four printed digits a class are enough


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Return finite logits [N, C], float32, whose softmax the probabilities are.

    Args:
        probabilities: [N, C], each row about 1 in sum.
    """
    return probabilities.double().clamp(min=SMALLEST).log().float()


def are_probabilities(answers: Tensor) -> bool:
    """Whether rows [B, C] lie in [0, 1] and sum to 1; that logits do so in every row by chance is
    next to impossible.
    """
    inside = ((answers >= 0) & (answers <= 1 + ROUNDING)).all()
    sums = answers.to(torch.float64).sum(dim=1)
    return bool(inside and ((sums - 1).abs() <= SUM_TOLERANCE).all())
