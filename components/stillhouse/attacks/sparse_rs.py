"""Sparse-RS: a few pixels or cells set to extremes, found by random search."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.frame import Frame
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, Share

# After which query, of 10,000, the share of the places that is tried anew falls further, and to
# which part of the first share.
_FALLS = ((0, 1.0), (50, 0.5), (200, 0.25), (500, 0.2), (1000, 0.125), (2000, 0.1), (4000, 0.05))


def sparse_rs(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    queries: int = 2000,
    share: float = 0.3,
) -> Tensor:
    """Return for each row the point with the smallest margin that random search met among those
    that differ in epsilon places.

    A place is a pixel with all its channels, or a cell. The chosen ones lie at one end of the
    bounds, each channel at its own; every query gives some of them up for others, and the new set
    is kept where the margin falls. Answers are all that it asks for.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: l0; epsilon is how many places.
        generator: Everything random.
        queries: Questions a row, at most.
        share: Of the chosen places that the first queries change.

    Source:
        Croce, Andriushchenko, Singh, Flammarion and Hein 2022, arXiv:2006.12834, section 4 (L0).
    """
    found, frame = Found.start(model, inputs, targets), _frame(inputs)
    ends = _Ends.of(inputs, threat, frame)
    most = min(int(threat.epsilon), frame.size[1] * frame.size[2])
    rows = found.survivors()
    if most < 1 or not len(rows):
        return found.inputs
    # One order of places and one set of colours a row; the first `most` of the order are in.
    order = _draw(len(inputs), frame, ends, generator)[rows]
    colour = ends.colours(generator)[rows]
    known = _ask(model, ends, order, colour, most, rows, targets, found)
    for query in range(1, queries):
        swaps = max(1, round(most * share * _fall(query, queries)))
        fresh = ends.colours(generator)
        draws = torch.rand(len(inputs), 2, most, generator=generator)
        stay = known > -FOOLED_BY
        rows, order, colour, known = rows[stay], order[stay], colour[stay], known[stay]
        if not found.open(rows).any():
            break
        tried, changed = _swapped(order, draws[rows], most, swaps)
        tinted = torch.where(_mask(changed, frame), fresh[rows], colour)
        asked = _ask(model, ends, tried, tinted, most, rows, targets, found)
        better = asked < known
        order[better], colour[better] = tried[better], tinted[better]
        known = asked.minimum(known)
    found.note(ends.put(order, colour, most, rows), known, rows)
    return found.inputs


def _frame(rows: Tensor) -> Frame:
    """A pixel has channels; a cell of a series or table is a place of its own."""
    return Frame.of(rows) if rows.dim() == 4 else Frame.of(rows.flatten(1))


@dataclass(frozen=True)
class _Ends:
    """The rows, and the two values that each of their inputs may be set to, framed."""

    clean: Tensor
    low: Tensor
    high: Tensor
    frame: Frame
    like: Tensor

    @classmethod
    def of(cls, inputs: Tensor, threat: Threat, frame: Frame) -> "_Ends":
        region = threat.around(inputs)
        scale = threat.space.scale.expand(inputs.shape[1:])
        # a bound that is infinite: far beyond what data hold
        low, high = (
            region.low.maximum(inputs - 10 * scale),
            region.high.minimum(inputs + 10 * scale),
        )
        whole = inputs.dim() == 4

        def framed(part: Tensor) -> Tensor:
            return frame.put(part if whole else part.flatten(1))

        return cls(framed(inputs), framed(low), framed(high), frame, inputs)

    @property
    def free(self) -> Tensor:
        """Which places [B, height · width] may change."""
        return (self.low < self.high).any(1).flatten(1)

    def colours(self, generator: torch.Generator) -> Tensor:
        """Draw for every input one of its two ends, [B, channels, height, width]."""
        return torch.where(
            torch.rand(self.clean.shape, generator=generator) < 0.5, self.low, self.high
        )

    def put(self, order: Tensor, colour: Tensor, most: int, rows: Tensor) -> Tensor:
        """Return rows [b, *shape] with the first `most` places of their order coloured."""
        chosen = torch.zeros(len(rows), order.shape[1], dtype=torch.bool)
        chosen.scatter_(1, order[:, :most], True)
        framed = torch.where(_mask(chosen, self.frame), colour, self.clean[rows])
        return self.frame.take(framed).reshape(len(rows), *self.like.shape[1:])


def _draw(rows: int, frame: Frame, ends: _Ends, generator: torch.Generator) -> Tensor:
    """Return an order of places [rows, height · width], those first that may change."""
    draws = torch.rand(rows, frame.size[1] * frame.size[2], generator=generator)
    return (draws + 2 * ~ends.free).argsort(dim=1)


def _swapped(order: Tensor, draws: Tensor, most: int, swaps: int) -> tuple[Tensor, Tensor]:
    """Return the order with `swaps` of the chosen places given up for others, and which places [b,
    height · width] came in or got a new colour.
    """
    places = order.shape[1]
    swaps = min(swaps, most)
    leave = draws[:, 0].argsort(dim=1)[:, :swaps]
    rest = max(places - most, 1)
    start = (draws[:, 1, :1] * rest).long()
    enter = (most + (start + torch.arange(swaps)) % rest).clamp_max(places - 1)
    gone, come = order.gather(1, leave), order.gather(1, enter)
    tried = order.scatter(1, leave, come).scatter(1, enter, gone) if places > most else order
    changed = torch.zeros(order.shape, dtype=torch.bool)
    return tried, changed.scatter(1, tried.gather(1, leave), True)


def _ask(
    model: nn.Module,
    ends: _Ends,
    order: Tensor,
    colour: Tensor,
    most: int,
    rows: Tensor,
    targets: Tensor,
    found: Found,
) -> Tensor:
    at = ends.put(order, colour, most, rows)
    got = margins(model, at, targets[rows])
    fools = got < -FOOLED_BY
    found.note(at[fools], got[fools], rows[fools])
    return got


def _mask(places: Tensor, frame: Frame) -> Tensor:
    return places.view(len(places), 1, *frame.size[1:])


def _fall(query: int, queries: int) -> float:
    at = query * 10_000 // queries
    return next(part for after, part in reversed(_FALLS) if at >= after)


class SparseRS(Attack):
    """A few pixels or cells, changed as far as the bounds let: asks for answers only."""

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    norms: ClassVar[frozenset[Norm]] = frozenset({"l0"})

    def __init__(self, *, queries: Count = 2000, share: Share = 0.3) -> None:
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
        return sparse_rs(
            model, inputs, targets, threat, generator, queries=self.queries, share=self.share
        )
