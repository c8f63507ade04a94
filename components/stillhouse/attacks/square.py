"""Square: random windows set to the edge of the ball, kept where the margin falls.

It asks for answers only, never for gradients.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.frame import Frame, Window
from stillhouse.attacks.gradient import margin
from stillhouse.attacks.pattern import bumps, tiles
from stillhouse.attacks.shapes import wide
from stillhouse.attacks.threat import Threat
from stillhouse.attacks.windowed import Windowed
from stillhouse.config import Count, Share

# After which query, of 10,000, the window's share of the row is halved once more.
_SHRINK = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_STAY = 7 / 8  # rows are let go when no larger share of them is open
_DRAWN = 64  # windows are drawn so many at a time
_GROUP = 16  # the model is asked about multiples of so many rows, as far as there are as many


def square(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    queries: int = 5000,
    share: float = 0.8,
    patience: int | None = None,
) -> Tensor:
    """Return for each row the point with the smallest margin that random search met.

    linf: vertical stripes first, then one window a query, at random, all of a channel's values in
    it at the same end of the ball. l2 and l1: a field of small bumps first, then a window's share
    of the perturbation is moved into another window and bent. A window can lie anywhere, up to the
    last row and column. Windows are the same for all rows of the batch and drawn whether rows are
    open or not; signs are drawn for each row. A linf window that holds what was drawn for it is set
    to the other end, so that no query is spent on what is known.

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
        patience: The search ends after so many queries in which no row of the batch was fooled;
            None: it goes on.

    Source:
        Andriushchenko, Croce, Flammarion and Hein 2020, arXiv:1912.00049, algorithms 1 to 3;
        schedule and first share as in AutoAttack.
    """
    frame = Frame.of(inputs)
    found = Found.start(model, inputs, targets)
    search = _Search(model, inputs, targets, threat, found, frame, patience or queries)
    (_linf if threat.norm == "linf" else _ball)(
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
    patience: int
    quiet: int = 0  # queries since a row was fooled

    @property
    def over(self) -> bool:
        """Whether so many queries in a row found nothing."""
        return self.quiet > self.patience

    @property
    def power(self) -> int:
        """Which powers of entries make a length: 1 for l1, 2 for l2."""
        return 1 if self.threat.norm == "l1" else 2

    def ask(self, moved: Tensor, rows: Tensor) -> Tensor:
        """Return the margins [b] of rows moved [b, *shape], and note those that fool."""
        got = margins(self.model, moved, self.targets[rows])
        fools = got < -FOOLED_BY
        self.quiet += 1
        if fools.any():
            self.quiet = 0
            self.found.note(moved[fools], got[fools], rows[fools])
        return got

    def count(self, rows: int) -> None:
        """Count rows that something else than the model was asked about."""
        if self.found.meter is not None:
            self.found.meter.queries += rows


def _linf(search: _Search, generator: torch.Generator, sides: list[int]) -> None:
    """Search with rows [b, channels, height, width], each at the best point that it has met."""
    threat, clean, frame = search.threat, search.clean, search.frame
    step = threat.epsilon * threat.space.scale
    low, high = (frame.put(threat.project(clean + sign * step, clean)) for sign in (-1, 1))
    rows = search.found.survivors()
    at = torch.where(frame.signs(len(clean), generator, width=frame.size[2]) > 0, high, low)[rows]
    best = _Best(search, rows, at, low[rows], high[rows], search.ask(frame.take(at), rows))
    for window, up in _drawn(frame, len(clean), sides, generator):
        best.drop_fooled(window)
        if search.over or not best.open():
            break
        best.improve(window, up[best.rows])
    best.note()


def _drawn(
    frame: Frame, rows: int, sides: list[int], generator: torch.Generator
) -> Iterator[tuple[Window, Tensor]]:
    """Yield a window of each side and to which end it is set, bool [rows, channels, 1, 1]; many are
    drawn at once.
    """
    for first in range(0, len(sides), _DRAWN):
        part = sides[first : first + _DRAWN]
        where = torch.rand((len(part), 2), generator=generator).tolist()
        ends = torch.randint(
            0, 2, (len(part), rows, frame.size[0], 1, 1), generator=generator, dtype=torch.uint8
        ).bool()
        for side, at, up in zip(part, where, ends, strict=True):
            yield frame.placed(side, at), up


@dataclass
class _Best:
    """Rows, each at the best point that it has met.

    Attributes:
        search: What they belong to.
        rows: [b], their positions in the batch.
        at: [b, channels, height, width].
        low: The smallest value that each input may take.
        high: The largest one.
        known: [b], margins at `at`.
        windowed: What answers about one window at a time, where that pays.
    """

    search: _Search
    rows: Tensor
    at: Tensor
    low: Tensor
    high: Tensor
    known: Tensor
    windowed: Windowed | None = None

    def __post_init__(self) -> None:
        image = self.search.frame.shape == self.search.frame.size
        self._could = Windowed.of(self.search.model, self.at) if image else None

    def open(self) -> bool:
        """Return whether there are rows that are not fooled and may be asked about."""
        meter = self.search.found.meter
        spent = meter is not None and meter.spent
        return not spent and bool((self.known > -FOOLED_BY).any())

    def drop_fooled(self, window: Window) -> None:
        """Let rows go that are fooled. While the model itself is asked, a few at a time: to move
        all others costs too, and a library compiles its work anew for each number of rows. Once it
        pays to ask about the window alone, that is begun.
        """
        stay = self.known > -FOOLED_BY
        count, could = int(stay.sum()), self._could
        begins = could is not None and count > 0 and could.pays(window, count)
        at_once = begins or self.windowed is not None
        if count < len(stay) and (at_once or count <= len(stay) * _STAY):
            self.rows, self.at, self.known = self.rows[stay], self.at[stay], self.known[stay]
            self.low, self.high = self.low[stay], self.high[stay]
            if self.windowed is not None:
                self.windowed.keep(stay)
        if could is not None and begins:
            could.hold(self.at)
            self.windowed, self._could = could, None

    def improve(self, window: Window, up: Tensor) -> None:
        """Set a window to one end of the ball, or to the other where that would change nothing, and
        keep it in the rows whose margin falls.
        """
        down, across = window
        was = self.at[:, :, down, across]
        low, high = self.low[:, :, down, across], self.high[:, :, down, across]
        new = torch.where(up, high, low)
        idle = (new == was).flatten(1).all(1)
        if idle.any():
            new = torch.where(up ^ wide(idle, up), high, low)
        if self.windowed is not None:
            asked = self._ask_windowed(self.windowed, new, window)
            better = taken = torch.nonzero(asked < self.known).flatten()
            if len(taken):
                self.windowed.take(taken)
        else:
            which = self._due((new != was).flatten(1).any(1) & (self.known > -FOOLED_BY))
            if not len(which):
                self.search.quiet += 1
                return
            asked = self.search.ask(self._changed(which, new[which], window), self.rows[which])
            better = torch.nonzero(asked < self.known[which]).flatten()
            taken = which[better]
        was[taken], self.known[taken] = new[taken], asked[better]

    def _due(self, wanted: Tensor) -> Tensor:
        """Return the positions of the rows to ask the model about: those wanted, and others that
        make their number one of few.
        """
        count = -(-int(wanted.sum()) // _GROUP) * _GROUP
        return wanted.sort(descending=True, stable=True).indices[:count]

    def note(self) -> None:
        """Let the model itself say what the points are worth."""
        points = self.search.frame.take(self.at)
        if self.windowed is not None and len(points):
            self.known = margins(self.search.model, points, self.search.targets[self.rows])
        self.search.found.note(points, self.known, self.rows)

    def _ask_windowed(self, windowed: Windowed, new: Tensor, window: Window) -> Tensor:
        """Return the margins [b] of all rows with a window changed."""
        search = self.search
        got = margin(windowed.ask(new, window), search.targets[self.rows])
        search.count(len(got))
        fools = got < -FOOLED_BY
        if not fools.any():
            search.quiet += 1
            return got
        # nobody but the model says that a row is fooled
        which = torch.nonzero(fools).flatten()
        got[which] = search.ask(self._changed(which, new[which], window), self.rows[which])
        return got

    def _changed(self, which: Tensor, new: Tensor, window: Window) -> Tensor:
        tried = self.at[which]
        tried[:, :, window[0], window[1]] = new
        return self.search.frame.take(tried)


def _ball(search: _Search, generator: torch.Generator, sides: list[int]) -> None:
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
        stay = known > -FOOLED_BY
        if not stay.all():
            rows, change, known = rows[stay], change[stay], known[stay]
        if search.over or not search.found.open(rows).any():
            break
        tried, asked = _stretched(
            search,
            moved(change, to, away, bent * signs[rows], epsilon, search.power) * free[rows],
            rows,
        )
        better = asked < known
        change[better] = tried[better]
        known = asked.minimum(known)
    search.found.note(_raw(search, change, rows), known, rows)


def moved(
    change: Tensor, to: Window, away: Window, bent: Tensor, epsilon: float, power: int = 2
) -> Tensor:
    """Return a perturbation in which window `to` holds what it and `away` held, and what the ball
    had left; `away` is empty then.

    Args:
        change: [b, channels, height, width], of length epsilon at most.
        to: Where the mass goes.
        away: Where it comes from; it may overlap.
        bent: The pattern that is added to what `to` held, [b, channels, …].
        epsilon: The ball's radius.
        power: 2 for l2, 1 for l1.

    Source:
        Andriushchenko et al. 2020, algorithm 3.
    """
    used = change.abs().pow(power).sum(dim=(1, 2, 3), keepdim=True)
    left = (epsilon**power - used).clamp_min(0.0) / change.shape[1]
    both = torch.zeros(change.shape[-2:], dtype=torch.bool)
    both[to], both[away] = True, True
    held = (change * both).abs().pow(power).sum(dim=(2, 3), keepdim=True)
    before = change[:, :, to[0], to[1]]
    new = bent + before / _length(before, (2, 3), power)
    tried = change.clone()
    tried[:, :, away[0], away[1]] = 0.0
    tried[:, :, to[0], to[1]] = new / _length(new, (2, 3), power) * (left + held) ** (1 / power)
    return tried


def _stretched(search: _Search, change: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the perturbation stretched to the ball's edge and cut at the bounds, and its margins
    [b].
    """
    frame, threat = search.frame, search.threat
    full = change * (threat.epsilon / _length(change, (1, 2, 3), search.power))
    at, base = _raw(search, full, rows), search.clean[rows]
    return frame.put(((at - base) / threat.space.scale).nan_to_num(0.0)), search.ask(at, rows)


def _raw(search: _Search, change: Tensor, rows: Tensor) -> Tensor:
    base = search.clean[rows]
    moved = base + search.frame.take(change) * search.threat.space.scale
    return search.threat.project(moved, base)


def _length(values: Tensor, axes: tuple[int, ...], power: int) -> Tensor:
    summed = values.abs().pow(power).sum(dim=axes, keepdim=True)
    return (summed ** (1 / power)).clamp_min(1e-12)


class Square(Attack):
    """Random search: what an attacker finds who sees logits only, and the one of the house's
    attacks that a model without gradients cannot stop.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    joins_few: ClassVar[bool] = True

    def __init__(
        self, *, queries: Count = 5000, share: Share = 0.8, patience: Count | None = None
    ) -> None:
        self.queries, self.share, self.patience = queries, share, patience

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
            model,
            inputs,
            targets,
            threat,
            generator,
            queries=self.queries,
            share=self.share,
            patience=self.patience,
        )
