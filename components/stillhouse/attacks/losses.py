"""What an attack raises: losses whose size the model's scale cannot hide, each a number a row that
is larger the nearer the row is to being fooled.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from stillhouse.attacks.gradient import margin

# Logits [b, C] of some rows, and the positions [b] of these rows in the batch, to losses [b].
Loss = Callable[[Tensor, Tensor], Tensor]


def odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the log odds [B] against the target: d = logsumexp(other logits) − the target's logit.

    The cross-entropy is softplus(d): it rises where d rises and its gradient points where d's does,
    but d has digits left where the cross-entropy of a confident row is 0 in float32. An attack that
    only compares values and follows directions does with d exactly what it would do with the
    cross-entropy.

    Args:
        logits: [B, C], C at least 2.
        targets: [B], int64.
    """
    own = targets[:, None]
    others = logits.scatter(1, own, -torch.inf)
    return others.logsumexp(dim=-1) - logits.gather(1, own)[:, 0]


def dlr(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the difference of logits ratio [B]: −(target − best other) / (largest − third
    largest).

    Neither a shift nor a factor of the logits changes it. With fewer than three classes there is no
    third logit, and the margin itself is returned.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, equation 6.
    """
    gap = -margin(logits, targets)
    if logits.shape[-1] < 3:
        return gap
    top = logits.topk(3, dim=-1).values
    return gap / _above_zero(top[:, 0] - top[:, 2])


def dlr_targeted(logits: Tensor, targets: Tensor, goals: Tensor) -> Tensor:
    """Return the targeted ratio [B]: −(target − goal) / (largest − mean of third and fourth
    largest).

    With fewer than four classes the plain difference is returned: it is what is left of the ratio,
        which would be −1 everywhere towards the last of three.

    Args:
        logits: [B, C].
        targets: [B], int64.
        goals: [B], int64: the class that each row is to be taken for.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, equation 7.
    """
    gap = (logits.gather(1, goals[:, None]) - logits.gather(1, targets[:, None]))[:, 0]
    if logits.shape[-1] < 4:
        return gap
    top = logits.topk(4, dim=-1).values
    return gap / _above_zero(top[:, 0] - top[:, 2:].mean(dim=-1))


def _above_zero(spread: Tensor) -> Tensor:
    """Three equal logits leave no spread to divide by; the reference adds 1e-12 there, which
    float32 keeps only next to 0.
    """
    return spread + 1e-12
