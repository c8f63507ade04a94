"""The l1 ball inside a box: the nearest point of it, exact, for all rows at once."""

import torch
from torch import Tensor


def into_l1(change: Tensor, low: Tensor, high: Tensor, epsilon: float) -> Tensor:
    """Return the changes [b, D] nearest to these of which Σ |change| is at most epsilon and which
    stay between low and high.

    The nearest is clip(shrink(change, λ), low, high): every value gives up the same λ, unless the
    box has stopped it before. The sum that is left grows as λ falls and bends where a value leaves
    0 or meets its bound; the bends are sorted, and λ is read off the stretch in which epsilon lies.

    Args:
        change: [b, D].
        low: [b, D], at most 0; may be infinite.
        high: [b, D], at least 0; may be infinite.
        epsilon: The ball's radius.

    Source:
        Croce and Hein 2021, arXiv:2103.01208, section 2.2, worked out anew.
    """
    size = change.abs()
    most = torch.where(change > 0, high, -low).clamp_min(0.0)
    bends, order = torch.cat([size, size - most], dim=1).sort(dim=1, descending=True)
    # above its size a value is 0; from there it grows with each unit that λ falls, until its bound
    turn = torch.cat([torch.ones_like(size), -torch.ones_like(size)], dim=1).gather(1, order)
    pace = turn.cumsum(1)
    fall = -torch.diff(bends, dim=1).clamp_max(0.0).nan_to_num(0.0, 0.0, 0.0)
    sums = torch.cat([torch.zeros_like(bends[:, :1]), (pace[:, :-1] * fall).cumsum(1)], dim=1)
    first = (sums < epsilon).sum(1, keepdim=True).clamp(1, bends.shape[1] - 1)
    short = (epsilon - sums.gather(1, first - 1)).clamp_min(0.0)
    shrink = bends.gather(1, first - 1) - short / pace.gather(1, first - 1).clamp_min(1.0)
    left = (size - shrink.clamp_min(0.0)).clamp_min(0.0).minimum(most)
    return left * change.sign()
