"""CW: the shortest change that fools, by an optimiser on length and margin together."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.gradient import margin, uphill
from stillhouse.attacks.shapes import Norm, wide
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, Positive

_EDGE = 1 - 1e-4  # a row that lies on a bound starts so far inside, or its tanh could never move
_ROOM = 2.0  # how far each input may go on the way, in epsilons: beyond 1 nothing counts
_BETAS = (0.9, 0.999)  # Adam's, as in the authors' code


def cw(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    *,
    steps: int = 100,
    searches: int = 5,
    step_size: float = 0.05,
    weight: float = 0.1,
) -> Tensor:
    """Return for each row a point inside the threat that fools the model, the first on the way to
    the shortest change; else the point with the smallest margin.

    ‖δ‖² + c · max(margin + 0.001, 0) is brought down by Adam over w, with x = middle + half-width ·
    tanh(w), so that no bound is ever in the way. c is searched for row by row: halved between what
    fooled and what did not, tenfold while nothing did.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: l2; bounds, what may change.
        steps: Of Adam in each search.
        searches: Values of c.
        step_size: Of Adam, in w.
        weight: The first c.

    Source:
        Carlini and Wagner 2017, arXiv:1608.04644, section V and VI (L2).
    """
    found = Found.start(model, inputs, targets)
    rows = found.survivors()
    price = torch.full((len(inputs),), weight)
    low, high = torch.zeros_like(price), torch.full_like(price, torch.inf)
    for _ in range(searches):
        if not len(rows):
            break
        way = _Way.of(inputs[rows], rows, threat)
        fooled = _descend(model, way, targets, found, price[rows], steps, step_size)
        high[rows] = torch.where(fooled, price[rows], high[rows])
        low[rows] = torch.where(fooled, low[rows], price[rows])
        price = torch.where(high.isinf(), price * 10, (low + high) / 2)
        rows = found.survivors()
    return found.inputs


@dataclass(frozen=True)
class _Way:
    """How w [b, *shape] becomes rows."""

    clean: Tensor
    rows: Tensor
    middle: Tensor
    half: Tensor
    threat: Threat

    @classmethod
    def of(cls, clean: Tensor, rows: Tensor, threat: Threat) -> "_Way":
        region, reach = threat.around(clean), _ROOM * threat.epsilon * threat.space.scale
        low, high = region.low.maximum(clean - reach), region.high.minimum(clean + reach)
        return cls(clean, rows, (low + high) / 2, (high - low) / 2, threat)

    def start(self) -> Tensor:
        """Return the w of the clean rows; 0 where nothing may change."""
        share = ((self.clean - self.middle) / self.half).nan_to_num(0.0, 0.0, 0.0)
        return share.clamp(-_EDGE, _EDGE).atanh()

    def rows_at(self, w: Tensor) -> Tensor:
        return torch.where(self.half > 0, self.middle + self.half * w.tanh(), self.clean)


def _descend(
    model: nn.Module,
    way: _Way,
    targets: Tensor,
    found: Found,
    price: Tensor,
    steps: int,
    step_size: float,
) -> Tensor:
    """Note what fools inside the threat, and return which rows [b] were fooled at any length."""
    w, ever = way.start(), torch.zeros_like(price, dtype=torch.bool)
    first, second = torch.zeros_like(w), torch.zeros_like(w)
    scale, own = way.threat.space.scale, targets[way.rows]
    for step in range(1, steps + 1):
        if not found.open(way.rows).any():
            break
        at = way.rows_at(w)
        logits, _, up = uphill(model, at, lambda z: -margin(z, own))
        gap = margin(logits, own)
        ever |= gap < -FOOLED_BY
        tried, told = at, gap
        if bool(way.threat.space.whole.any()):  # a boundary is seldom met at whole numbers
            tried = way.threat.landing(at, way.clean)
            told = margins(model, tried, own)
        inside = way.threat.allows(tried, way.clean)
        found.note(tried[inside], told[inside], way.rows[inside])
        change = ((at - way.clean) / scale).nan_to_num(0.0)
        pull = 2 * change / scale - wide(price * (gap > -2 * FOOLED_BY), at) * up.nan_to_num(0.0)
        slope = (pull * way.half * (1 - w.tanh().square())).nan_to_num(0.0)
        first = _BETAS[0] * first + (1 - _BETAS[0]) * slope
        second = _BETAS[1] * second + (1 - _BETAS[1]) * slope.square()
        unbiased = first / (1 - _BETAS[0] ** step), second / (1 - _BETAS[1] ** step)
        w = w - step_size * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
    return ever


class CW(Attack):
    """Carlini and Wagner's attack: slow, and hard to fool by what is done to the loss."""

    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})

    def __init__(
        self,
        *,
        steps: Count = 100,
        searches: Count = 5,
        step_size: Positive = 0.05,
        weight: Positive = 0.1,
    ) -> None:
        self.steps, self.searches, self.step_size, self.weight = steps, searches, step_size, weight

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        return cw(
            model,
            inputs,
            targets,
            threat,
            steps=self.steps,
            searches=self.searches,
            step_size=self.step_size,
            weight=self.weight,
        )
