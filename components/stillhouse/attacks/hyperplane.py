"""The shortest way inside a box to a hyperplane: exact, for all rows at once."""

import torch
from torch import Tensor

from stillhouse.attacks.shapes import Norm

_FAR = (
    1e30  # stands for an infinite bound: so far no row ever moves, and sums stay finite in float64
)


def towards(
    at: Tensor, normal: Tensor, rise: Tensor, low: Tensor, high: Tensor, norm: Norm
) -> Tensor:
    """Return the points z [b, D] in the box nearest to `at` with normal · (z − at) = rise; where no
    point of the box rises so far, the one that rises most.

    For l1 the entries move one after the other, each to its bound, those first whose normal is
    largest. For the others the way is z(t) = clip(at + t · d) with d = ± normal for l2 and ± its
    signs for linf. What it rises by is concave and piecewise linear in t: it bends where a value
    meets its bound. The bends are sorted, and t is read off the stretch in which the rise lies.
    Worked in float64.

    Args:
        at: [b, D], inside the box.
        normal: [b, D]; where it is 0 nothing moves.
        rise: [b]; negative ones are falls.
        low: [b, D].
        high: [b, D].
        norm: Which distance.

    Source:
        Croce and Hein 2020, arXiv:1907.02044, section 2.2 and appendix A (the projections of FAB).
    """
    at, normal, rise, low, high = (t.double() for t in (at, normal, rise, low, high))
    if norm == "l1":
        return _one_by_one(at, normal, rise, low, high)
    slope = normal * torch.where(rise < 0, -1.0, 1.0)[:, None]
    way = slope.sign() if norm == "linf" else slope
    room = torch.where(way > 0, high - at, at - low).clamp(0.0, _FAR)
    until = torch.where(
        way != 0, room / way.abs().clamp_min(torch.finfo(torch.float64).tiny), 0.0
    ).clamp_max(_FAR)
    return (at + _time(until, (slope * way).abs(), rise.abs())[:, None].minimum(until) * way).clamp(
        min=low, max=high
    )


def _time(until: Tensor, pace: Tensor, rise: Tensor) -> Tensor:
    """Return the first t [b] at which Σ pace · min(t, until) reaches the rise, or the last bend
    where it never does.
    """
    until, order = until.sort(dim=1)
    pace = pace.gather(1, order)
    after = (
        pace.flip(1).cumsum(1).flip(1)
    )  # the pace of everything that still moves at this bend or later
    stretch = torch.diff(until, dim=1, prepend=torch.zeros_like(until[:, :1]))
    reached = (after * stretch).cumsum(1)
    bend = (reached < rise[:, None]).sum(1).clamp_max(until.shape[1] - 1)[:, None]
    begun, risen = (
        until.gather(1, bend) - stretch.gather(1, bend),
        reached.gather(1, bend) - (after * stretch).gather(1, bend),
    )
    more = (rise[:, None] - risen).clamp_min(0.0) / after.gather(1, bend).clamp_min(
        torch.finfo(torch.float64).tiny
    )
    return (begun + more.minimum(stretch.gather(1, bend)))[:, 0]


def _one_by_one(at: Tensor, normal: Tensor, rise: Tensor, low: Tensor, high: Tensor) -> Tensor:
    slope = normal * torch.where(rise < 0, -1.0, 1.0)[:, None]
    way = slope.sign()
    room = torch.where(way > 0, high - at, at - low).clamp(0.0, _FAR)
    pace, order = slope.abs().sort(dim=1, descending=True)
    room = room.gather(1, order)
    before = (pace * room).cumsum(1) - pace * room
    left = (rise.abs()[:, None] - before).clamp_min(0.0)
    step = (left / pace.clamp_min(torch.finfo(torch.float64).tiny)).minimum(room)
    step = torch.where(pace > 0, step, 0.0)
    return (at + torch.zeros_like(at).scatter(1, order, step) * way).clamp(min=low, max=high)


def nearest(gaps: Tensor, normals: Tensor, norm: Norm) -> Tensor:
    """Return which of K hyperplanes [b] is nearest: the smallest |gap| / dual norm of its normal.

    Args:
        gaps: [b, K].
        normals: [b, K, D]; a normal of zeros is infinitely far.
        norm: Which distance; its dual measures the normals.
    """
    size = dual(normals, norm)
    return torch.where(
        size > 0, gaps.abs() / size.clamp_min(torch.finfo(size.dtype).tiny), torch.inf
    ).argmin(dim=1)


def dual(normals: Tensor, norm: Norm) -> Tensor:
    """Return the size of normals [..., D] in the norm that is dual to a distance."""
    if norm == "linf":
        return normals.abs().sum(-1)
    return normals.abs().amax(-1) if norm == "l1" else normals.norm(dim=-1)
