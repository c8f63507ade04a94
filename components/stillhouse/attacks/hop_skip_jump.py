"""HopSkipJump: along the boundary towards the clean row, by yes-or-no answers alone."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count

_TRIES = 12  # random starts: each is twice as far away as the last
_HALVINGS = (
    12  # of the way between a row that fools and the clean one, and of a step that went too far
)


@dataclass(frozen=True)
class _Judge:
    """Says whether rows fool the model, and notes those that do inside the threat."""

    model: nn.Module
    clean: Tensor
    targets: Tensor
    threat: Threat
    found: Found

    def fooled(self, at: Tensor, rows: Tensor) -> Tensor:
        """Return [b], bool, for points [b, *shape] of these rows; where whole numbers stay whole,
        the model is asked about the nearest.
        """
        at = self.threat.space.rounded(at, self.clean[rows])
        margin = margins(self.model, at, self.targets[rows])
        fools = margin < -FOOLED_BY
        counts = fools & self.threat.allows(at, self.clean[rows])
        self.found.note(at[counts], margin[counts], rows[counts])
        return fools

    def between(self, at: Tensor, part: Tensor, rows: Tensor) -> Tensor:
        """Return the points that keep that part [b] of their way from the clean rows: of its length
        for l2, of its largest change for linf.
        """
        clean = self.clean[rows]
        change = torch.where(
            self.threat.space.open(clean), (at - clean) / self.threat.space.scale, 0.0
        )
        if self.threat.norm == "linf":
            most = part * change.flatten(1).abs().amax(1)
            change = change.maximum(-_wide(most, at)).minimum(_wide(most, at))
        else:
            change = change * _wide(part, at)
        return self.threat.space.clip(clean + change * self.threat.space.scale, clean)


def hop_skip_jump(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 20,
    samples: int = 100,
) -> Tensor:
    """Return for each row a point inside the threat that fools the model, the first that
    HopSkipJump meets; the clean row where it meets none.

    From a random point that fools, each step goes back to the boundary by halving, asks about
    points around it for the direction in which rows are fooled, and goes that way, at first far. It
    sees nothing but whether the model is wrong.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode; only which logit is largest is
            used.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Everything random.
        steps: At most.
        samples: Points around the boundary in the first step; √t times as many in step t.

    Source:
        Chen, Jordan and Wainwright 2020, arXiv:1904.02144, algorithms 1 and 2.
    """
    judge = _Judge(model, inputs, targets, threat, Found.start(model, inputs, targets))
    at, rows = _start(judge, judge.found.survivors(), generator)
    for step in range(1, steps + 1):
        at = _boundary(judge, at, rows)
        stay = judge.found.open(rows)
        at, rows = at[stay], rows[stay]
        if not len(rows):
            break
        at = _jump(
            judge,
            at,
            _direction(judge, at, rows, round(samples * math.sqrt(step)), generator),
            rows,
            step,
        )
    if len(rows):
        _boundary(judge, at, rows)
    return judge.found.inputs


def _start(judge: _Judge, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return points that fool, and the rows for which there are such, after ever wilder noise."""
    at, got = judge.clean[rows].clone(), torch.zeros(len(rows), dtype=torch.bool)
    for power in range(_TRIES):
        noise = torch.randn(judge.clean.shape, generator=generator)[rows]
        todo = torch.nonzero(~got).flatten()
        if not len(todo):
            break
        clean = judge.clean[rows[todo]]
        step = judge.threat.epsilon * 2.0**power * judge.threat.steepest(noise[todo], clean)
        tried = judge.threat.space.clip(clean + step, clean)
        fools = judge.fooled(tried, rows[todo])
        at[todo[fools]] = tried[fools]
        got[todo[fools]] = True
    return at[got], rows[got]


def _boundary(judge: _Judge, at: Tensor, rows: Tensor) -> Tensor:
    """Return the points that fool, as near to the clean rows on their way as halving finds."""
    low, high = torch.zeros(len(rows)), torch.ones(len(rows))
    for _ in range(_HALVINGS):
        if not len(rows):
            break
        middle = (low + high) / 2
        fools = judge.fooled(judge.between(at, middle, rows), rows)
        low, high = torch.where(fools, low, middle), torch.where(fools, middle, high)
    return judge.between(at, high, rows)


def _direction(
    judge: _Judge, at: Tensor, rows: Tensor, samples: int, generator: torch.Generator
) -> Tensor:
    """Return the direction [b, *shape] in units in which rows are fooled: the mean of random ones,
    each with its answer less the mean answer.
    """
    space, clean = judge.threat.space, judge.clean[rows]
    free = space.open(clean)
    size = judge.threat.size(at, clean)
    reach = size * (
        1.0 / clean[0].numel() if judge.threat.norm == "l2" else 1.0 / math.sqrt(clean[0].numel())
    )
    total, weighed, right = torch.zeros_like(clean), torch.zeros_like(clean), torch.zeros(len(rows))
    for _ in range(samples):
        way = torch.where(free, torch.randn(judge.clean.shape, generator=generator)[rows], 0.0)
        way = way / _wide(way.flatten(1).norm(dim=1).clamp_min(1e-12), way)
        tried = space.clip(at + _wide(reach, at) * way * space.scale, clean)
        way = torch.where(free, (tried - at) / space.scale, 0.0) / _wide(
            reach.clamp_min(1e-12), at
        )  # what the bounds left of it
        answer = judge.fooled(tried, rows).to(at.dtype) * 2 - 1
        total, weighed, right = total + way, weighed + _wide(answer, at) * way, right + answer
    mean = right / samples
    one_sided = _wide(mean.abs() >= 1, at)  # all alike: nothing to subtract from
    return torch.where(one_sided, weighed, weighed - _wide(mean, at) * total) / samples


def _jump(judge: _Judge, at: Tensor, way: Tensor, rows: Tensor, step: int) -> Tensor:
    """Return the points after a step that way, halved until they fool; where none does, the old
    ones.
    """
    clean, space = judge.clean[rows], judge.threat.space
    long = judge.threat.size(at, clean) / math.sqrt(step)
    best, todo = at.clone(), torch.arange(len(rows))
    for _ in range(_HALVINGS):
        if not len(todo):
            break
        move = _wide(long[todo], at) * judge.threat.steepest(way[todo] / space.scale, clean[todo])
        tried = space.clip(at[todo] + move, clean[todo])
        fools = judge.fooled(tried, rows[todo])
        best[todo[fools]] = tried[fools]
        todo, long = todo[~fools], long / 2
    return best


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """Return values [b] shaped to go with rows [b, *shape]."""
    return values.view(-1, *[1] * (like.dim() - 1))


class HopSkipJump(Attack):
    """What an attacker finds who sees nothing but the model's decisions."""

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})

    def __init__(self, *, steps: Count = 20, samples: Count = 100) -> None:
        self.steps, self.samples = steps, samples

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return hop_skip_jump(
            model, inputs, targets, threat, generator, steps=self.steps, samples=self.samples
        )
