"""How Square for l2 bends the perturbation inside a window: a bump beside its negative."""

import torch
from torch import Tensor


def bump(height: int, width: int) -> Tensor:
    """Return [height, width] of length 1 that falls from the middle to the edge: nested rectangles,
    the k-th adds 1 / k².

    Source:
        Andriushchenko, Croce, Flammarion and Hein 2020, arXiv:1912.00049, section 3.3 and the
        authors' `eta_rectangles`.
    """
    made: Tensor = torch.zeros(height, width)
    top, left = height // 2, width // 2
    for k in range(max(top, left) + 1):
        made[max(top - k, 0) : top + k + 1, max(left - k, 0) : left + k + 1] += 1.0 / (k + 1) ** 2
    length: Tensor = made.norm().clamp_min(1e-12)
    return made / length


def bumps(height: int, width: int, *, turned: bool = False) -> Tensor:
    """Return [height, width] of length 1: a bump above, a negative one below; beside each other if
    turned.
    """
    if turned and width > 1:
        return bumps(width, height).T
    made = torch.cat([bump(height // 2, width), -bump(height - height // 2, width)])
    length: Tensor = made.norm()
    return made / length


def tiles(shape: tuple[int, int]) -> Tensor:
    """Return a field [height, width] of pairs of bumps, five to the shorter side where it is that
    long; the last ones are cut at the edge.
    """
    height, width = shape
    side = max(1, min(height, width if width > 1 else height) // 5)
    tile = bumps(side, side if width > 1 else 1)
    return tile.repeat(-(-height // tile.shape[0]), -(-width // tile.shape[1]))[:height, :width]
