"""What a sensor or a clock does to a series by degrees: it loses its zero, or runs too fast."""

import torch
from torch import Tensor

from stillhouse.attacks.space import Space

_ROUNDING = 4 * torch.finfo(torch.float32).eps
RATES = 41  # of a clock, from -epsilon to epsilon; a finite set, so that membership can be checked


def drifted(clean: Tensor, reach: Tensor, space: Space) -> Tensor:
    """Return series [B, T, D] to which a straight line from 0 was added, cut at the bounds.

    Args:
        clean: Series; missing values stay missing.
        reach: [B, D]: where each channel's line ends, in its standard deviations.
        space: Bounds, deviations, what may change.
    """
    moved = clean + (reach * _unit(space, clean))[:, None] * _ramp(clean)
    return torch.where(space.open(clean), space.clip(moved, clean), clean)


def drift(inputs: Tensor, clean: Tensor, space: Space) -> Tensor:
    """Return the largest drift [B] that makes these inputs of the clean series [B, T, D], over
    channels; infinite where none does.

    Each value bounds the end of its channel's line: from both sides, or where it was cut at a bound
    from one. What all of them allow is the answer.
    """
    line, unit = _ramp(clean), _unit(space, clean)
    change = torch.where(clean.isnan() & inputs.isnan(), 0.0, inputs - clean)
    slack = _ROUNDING * (clean.abs() + inputs.abs()).nan_to_num(0.0)
    least, most = (change - slack) / line, (change + slack) / line
    low, high = space.low.minimum(clean), space.high.maximum(clean)
    fixed = ~space.open(clean)
    least = torch.where(fixed | (inputs <= low), -torch.inf, least).amax(1)
    most = torch.where(fixed | (inputs >= high), torch.inf, most).amin(1)
    nearest = torch.zeros_like(least).maximum(least).minimum(most).abs()
    possible = (least <= most) & ((unit > 0) | (nearest == 0))
    ends = torch.where(possible, nearest / unit.clamp_min(torch.finfo(unit.dtype).tiny), torch.inf)
    ends = torch.where(possible & (nearest == 0), 0.0, ends)
    touched = (fixed & (inputs != clean) & ~(inputs.isnan() & clean.isnan())).flatten(1).any(1)
    outside = (inputs < low) | (inputs > high)
    return torch.where(touched | outside.flatten(1).any(1), torch.inf, ends.amax(1))


def rates(epsilon: float) -> list[float]:
    """Return the rates by which a clock may be off, the largest first, without the right one."""
    grid = [epsilon * (2 * at / (RATES - 1) - 1) for at in range(RATES)]
    return sorted((rate for rate in grid if rate), key=lambda rate: -abs(rate))


def skewed(clean: Tensor, rate: float, space: Space) -> Tensor:
    """Return series [B, T, D] read at the times that a wrong clock tells, between two values; a
    fast clock reads the last value until the end.

    Args:
        clean: Series; missing values stay missing, and where one would be read the old one stays.
        rate: By which share the clock is off, above -1.
        space: What may change.
    """
    times = clean.shape[1]
    moment = (torch.arange(times, dtype=clean.dtype) * (1 + rate)).clamp(0, max(times - 1, 0))
    before = moment.floor().long()
    later = (before + 1).clamp_max(max(times - 1, 0))
    early = clean[:, before]
    read = early + (moment - before)[:, None] * (clean[:, later] - early)
    return torch.where(space.open(clean) & ~read.isnan(), read, clean)


def skew(inputs: Tensor, clean: Tensor, epsilon: float, space: Space) -> Tensor:
    """Return the smallest rate [B] of epsilon's grid that makes these inputs of the clean series
    [B, T, D]; infinite where none does.
    """
    found = torch.where(_same(inputs, clean), 0.0, torch.inf)
    for rate in reversed(rates(epsilon)):
        rows = torch.nonzero(found.isinf()).flatten()
        if not len(rows):
            break
        same = _same(skewed(clean[rows], rate, space), inputs[rows])
        found[rows[same]] = abs(rate)
    return found


def _same(rows: Tensor, others: Tensor) -> Tensor:
    return ((rows == others) | (rows.isnan() & others.isnan())).flatten(1).all(1)


def _ramp(rows: Tensor) -> Tensor:
    times = rows.shape[1]
    return (torch.arange(1, times + 1, dtype=rows.dtype) / times)[:, None]


def _unit(space: Space, rows: Tensor) -> Tensor:
    """Return each channel's standard deviation, [D]."""
    return space.deviation.expand(rows.shape[1:])[0].to(rows.dtype)
