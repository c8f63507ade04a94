"""What was not transferred: how much of the teacher each row got on average over a training, by
class and by name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

NAMED = 1000  # rows that got nothing; more are counted


def ledger(
    given: Tensor, asked: Tensor, *, codes: Tensor, classes: Sequence[str], rows: Tensor
) -> Mapping[str, Any]:
    """Return what a selector kept from the student, ready for JSON.

    Args:
        given: Sum of each row's weights over the training, [N].
        asked: How often each row was weighed, [N].
        codes: Each row's class [N]: its label, or the teacher's decision where there is none.
        classes: Class names by code.
        rows: The rows' numbers in their source [N]; a number that comes again is another view of
            its row.

    Returns:
        `share`: what was transferred of all that could have been, in [0, 1]. `by_class`: the same
        of each class that has rows, the least first. `none`: numbers of the rows that got nothing,
        rising, at most 1,000 of them. `nothing`: how many they are.

    Example:
        >>> told = ledger(
        ...     torch.tensor([2.0, 0.0]),
        ...     torch.tensor([2, 2]),
        ...     codes=torch.tensor([0, 1]),
        ...     classes=("a", "b"),
        ...     rows=torch.tensor([7, 9]),
        ... )
        >>> told["share"], told["none"]
        (0.5, [9])
    """
    number, at = torch.unique(rows, return_inverse=True)
    total, times = (_summed(each.double(), at, len(number)) for each in (given, asked))
    kind = torch.empty_like(number).scatter_(0, at, codes)
    nothing = number[(total == 0) & (times > 0)]
    by_class = [
        {
            "class": name,
            "rows": int((kind == code).sum()),
            "share": _share(total[kind == code], times[kind == code]),
        }
        for code, name in enumerate(classes)
        if (kind == code).any()
    ]
    return {
        "share": _share(total, times),
        "by_class": sorted(by_class, key=lambda one: one["share"]),
        "none": nothing[:NAMED].tolist(),
        "nothing": len(nothing),
    }


def _summed(values: Tensor, at: Tensor, count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.float64).index_add_(0, at, values)


def _share(total: Tensor, times: Tensor) -> float:
    return float(total.sum() / times.sum().clamp_min(1))
