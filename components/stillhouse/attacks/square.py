"""Square: random windows set to the edge of the ball, kept where the margin falls.

It asks for answers only, never for gradients.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.frame import Frame, Window
from stillhouse.attacks.pattern import bumps, tiles
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, Share

# After which query, of 10,000, the window's share of the row is halved once more.
_SHRINK = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def square(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    queries: int = 5000,
    share: float = 0.8,
) -> Tensor:
    """Return for each row the point with the smallest margin that random search met.

    linf: vertical stripes first, then one window a query, at random, all of a channel's values in
    it at the same end of the ball. l2: a field of small bumps first, then a window's share of the
    perturbation is moved into another window and bent. In both a window can lie anywhere, up to the
    last row and column. Windows are the same for all rows of the batch and drawn whether rows are
    open or not; signs are drawn for each row.

    An image's windows are squares. A series' are stretches of time, a channel one sign; a table's
    are stretches of neighbouring columns.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Everything random.
        queries: Questions a row, at most.
        share: Of the row that the first windows cover.

    Source:
        Andriushchenko, Croce, Flammarion and Hein 2020, arXiv:1912.00049, algorithms 1 to 3;
        schedule and first share as in AutoAttack.
    """
    frame = Frame.of(inputs)
    search = _Search(model, inputs, targets, threat, Found.start(model, inputs, targets), frame)
    (_linf if threat.norm == "linf" else _l2)(
        search, generator, [frame.side(part) for part in shares(share, queries)]
    )
    return search.found.inputs


def shares(share: float, queries: int) -> list[float]:
    """Return the window's share of the row at each query after the first; it is halved nine times,
    on a schedule stretched to their number.
    """
    return [
        share / 2 ** sum(at * 10_000 // queries > limit for limit in _SHRINK)
        for at in range(queries - 1)
    ]


@dataclass
class _Search:
    """What one search works on; rows that are fooled leave `rows` and with them whatever belongs to
    these rows.
    """

    model: nn.Module
    clean: Tensor
    targets: Tensor
    threat: Threat
    found: Found
    frame: Frame

    def ask(self, moved: Tensor, rows: Tensor) -> Tensor:
        """Return the margins [b] of rows moved [b, *shape], and note them."""
        got = margins(self.model, moved, self.targets[rows])
        self.found.note(moved, got, rows)
        return got


def _linf(search: _Search, generator: torch.Generator, sides: list[int]) -> None:
    threat, clean, frame = search.threat, search.clean, search.frame
    step = threat.epsilon * threat.space.scale
    low, high = (frame.put(threat.project(clean + sign * step, clean)) for sign in (-1, 1))
    rows = search.found.survivors()
    at = torch.where(frame.signs(len(clean), generator, width=frame.size[2]) > 0, high, low)[rows]
    known = search.ask(frame.take(at), rows)
    for side in sides:
        down, across = frame.window(side, generator)
        signs = frame.signs(len(clean), generator)
        rows, at, known = _stay(search.found, rows, at, known)
        if not len(rows):
            return
        tried = at.clone()
        tried[:, :, down, across] = torch.where(
            signs > 0, high[:, :, down, across], low[:, :, down, across]
        )[rows]
        at, known = _better(tried, search.ask(frame.take(tried), rows), at, known)


def _l2(search: _Search, generator: torch.Generator, sides: list[int]) -> None:
    """Search with perturbations [b, channels, height, width] in units of the threat's scale."""
    clean, frame, epsilon = search.clean, search.frame, search.threat.epsilon
    free = frame.put(search.threat.space.open(clean))
    rows = search.found.survivors()
    change, known = _stretched(
        search, (tiles(frame.size[1:]) * frame.signs(len(clean), generator) * free)[rows], rows
    )
    for side in sides:
        odd = min(
            max(side + 1 - side % 2, 3), frame.size[1]
        )  # an even pattern has no middle; below 3 there is nothing to bend
        to, away = frame.window(odd, generator), frame.window(odd, generator)
        bent = bumps(
            *(part.stop - part.start for part in to),
            turned=bool(torch.randint(0, 2, (), generator=generator)),
        )
        signs = frame.signs(len(clean), generator)
        rows, change, known = _stay(search.found, rows, change, known)
        if not len(rows):
            return
        tried, asked = _stretched(
            search, moved(change, to, away, bent * signs[rows], epsilon) * free[rows], rows
        )
        change, known = _better(tried, asked, change, known)


def moved(change: Tensor, to: Window, away: Window, bent: Tensor, epsilon: float) -> Tensor:
    """Return a perturbation in which window `to` holds what it and `away` held, and what the ball
    had left; `away` is empty then.

    Args:
        change: [b, channels, height, width], of length epsilon at most.
        to: Where the mass goes.
        away: Where it comes from; it may overlap.
        bent: The pattern that is added to what `to` held, [b, channels, …].
        epsilon: The ball's radius.

    Source:
        Andriushchenko et al. 2020, algorithm 3.
    """
    left = (epsilon**2 - change.square().sum(dim=(1, 2, 3), keepdim=True)).clamp_min(
        0.0
    ) / change.shape[1]
    both = torch.zeros(change.shape[-2:], dtype=torch.bool)
    both[to], both[away] = True, True
    held = (change * both).square().sum(dim=(2, 3), keepdim=True)
    before = change[:, :, to[0], to[1]]
    new = bent + before / _length(before, (2, 3))
    tried = change.clone()
    tried[:, :, away[0], away[1]] = 0.0
    tried[:, :, to[0], to[1]] = new / _length(new, (2, 3)) * (left + held).sqrt()
    return tried


def _stretched(search: _Search, change: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the perturbation stretched to the ball's edge and cut at the bounds, and its margins
    [b].
    """
    base, frame, threat = search.clean[rows], search.frame, search.threat
    full = change * (threat.epsilon / _length(change, (1, 2, 3)))
    at = threat.project(base + frame.take(full) * threat.space.scale, base)
    return frame.put(((at - base) / threat.space.scale).nan_to_num(0.0)), search.ask(at, rows)


def _length(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    return values.square().sum(dim=axes, keepdim=True).sqrt().clamp_min(1e-12)


def _better(tried: Tensor, asked: Tensor, at: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    better = asked < known
    return torch.where(better.view(-1, 1, 1, 1), tried, at), torch.where(better, asked, known)


def _stay(found: Found, rows: Tensor, at: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    stay = found.open(rows)
    return (rows, at, known) if stay.all() else (rows[stay], at[stay], known[stay])


class Square(Attack):
    """Random search: what an attacker finds who sees logits only, and the one of the house's
    attacks that a model without gradients cannot stop.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})

    def __init__(self, *, queries: Count = 5000, share: Share = 0.8) -> None:
        self.queries, self.share = queries, share

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return square(
            model, inputs, targets, threat, generator, queries=self.queries, share=self.share
        )
