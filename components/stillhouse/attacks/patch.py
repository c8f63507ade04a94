"""Patch: a square of anything anywhere on the image, or a stretch of a series, by random search."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.frame import Frame
from stillhouse.attacks.shapes import Norm, patch_side
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count

_CYCLE = 4  # of so many queries one moves the patch, one moves and repaints all of it


def patch(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    queries: int = 1000,
) -> Tensor:
    """Return for each row the point with the smallest margin that random search over a patch met.

    Each row has a patch of its own: where it lies, and what is on it, at first stripes of the
    bounds' ends. A query repaints a smaller square of it or moves it, at first far, with what is on
    it or in one colour; what lowers the margin is kept.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape]: images, or series whose patch is a stretch of time.
        targets: [B], int64.
        threat: patch; epsilon is its side as a share of the image's shorter one.
        generator: Everything random.
        queries: Questions a row, at most.

    Source:
        Croce et al. 2022, arXiv:2006.12834, section 5 (image-specific patches).
    """
    found, frame = Found.start(model, inputs, targets), Frame.of(inputs)
    region = threat.around(inputs)
    easel = _Easel(inputs, frame.put(region.low), frame.put(region.high), frame)
    side = patch_side(frame.put(inputs)[:, 0], threat.epsilon) if len(inputs) else 0
    rows = found.survivors()
    if side < 1 or not len(rows):
        return found.inputs
    size = (side, min(side, frame.size[2]))
    room = (frame.size[1] - size[0] + 1, frame.size[2] - size[1] + 1)
    at = (torch.rand(len(inputs), 2, generator=generator) * torch.tensor(room)).long()[rows]
    paint = (torch.rand(len(inputs), frame.size[0], *size, generator=generator) < 0.5)[rows]
    known = _ask(model, easel, at, paint, rows, targets, found)
    for query in range(1, queries):
        left = 1 - query / queries
        step = _step(len(inputs), room, left, generator)
        square = _square(len(inputs), frame.size[0], size, left, generator)
        stay = known > -FOOLED_BY
        rows, at, paint, known = rows[stay], at[stay], paint[stay], known[stay]
        if not found.open(rows).any():
            break
        tried, painted = at, torch.where(square[0][rows], square[1][rows], paint)
        if query % _CYCLE < 2:
            tried = (at + step[rows]).clamp_min(0).minimum(torch.tensor(room) - 1)
            painted = paint if query % _CYCLE else square[1][rows].expand_as(paint)
        asked = _ask(model, easel, tried, painted, rows, targets, found)
        better = asked <= known  # where nothing tells, it wanders
        at, known = torch.where(better[:, None], tried, at), asked.minimum(known)
        paint = torch.where(better[:, None, None, None], painted, paint)
    found.note(easel.put(at, paint, rows), known, rows)
    return found.inputs


@dataclass(frozen=True)
class _Easel:
    """The rows, and what may be painted on them."""

    clean: Tensor
    low: Tensor
    high: Tensor
    frame: Frame

    def put(self, at: Tensor, paint: Tensor, rows: Tensor) -> Tensor:
        """Return rows [b, *shape] with their patches.

        Args:
            at: [b, 2], the upper left corners.
            paint: [b, channels, height, width], bool: the upper bound, or the lower one.
            rows: [b].
        """
        framed, low, high = self.frame.put(self.clean[rows]), self.low[rows], self.high[rows]
        down = at[:, :1] + torch.arange(paint.shape[2])
        right = at[:, 1:] + torch.arange(paint.shape[3])
        flat = (down[:, :, None] * framed.shape[3] + right[:, None]).flatten(1)
        where = flat[:, None].expand(-1, framed.shape[1], -1)
        values = torch.where(
            paint.flatten(2), high.flatten(2).gather(2, where), low.flatten(2).gather(2, where)
        )
        made = framed.flatten(2).scatter(2, where, values).view_as(framed)
        return self.frame.take(made)


def _step(rows: int, room: tuple[int, int], left: float, generator: torch.Generator) -> Tensor:
    """Return how far [rows, 2] each patch is moved: up to a share of the room that shrinks."""
    reach = torch.tensor([max(1.0, span * left) for span in room])
    return ((torch.rand(rows, 2, generator=generator) * 2 - 1) * reach).round().long()


def _square(
    rows: int, channels: int, size: tuple[int, int], left: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return which part of each patch is repainted [rows, 1, height, width], and with what [rows,
    channels, 1, 1].
    """
    side = max(1, round(max(size) * 0.6 * left))
    corner = torch.rand(rows, 2, generator=generator)
    masks = []
    for axis, length in enumerate(size):
        start = (corner[:, axis] * max(length - side + 1, 1)).long()[:, None]
        line = torch.arange(length)
        masks.append((line >= start) & (line < start + side))
    colour = torch.rand(rows, channels, 1, 1, generator=generator) < 0.5
    return (masks[0][:, :, None] & masks[1][:, None])[:, None], colour


def _ask(
    model: nn.Module,
    easel: _Easel,
    at: Tensor,
    paint: Tensor,
    rows: Tensor,
    targets: Tensor,
    found: Found,
) -> Tensor:
    moved = easel.put(at, paint, rows)
    got = margins(model, moved, targets[rows])
    fools = got < -FOOLED_BY
    found.note(moved[fools], got[fools], rows[fools])
    return got


class Patch(Attack):
    """A sticker on the image, or a stretch of a recording that is replaced; asks for answers
    only.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    accepts: ClassVar[frozenset[str]] = frozenset({"image", "series"})
    norms: ClassVar[frozenset[Norm]] = frozenset({"patch"})

    def __init__(self, *, queries: Count = 1000) -> None:
        self.queries = queries

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return patch(model, inputs, targets, threat, generator, queries=self.queries)
