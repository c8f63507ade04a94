"""Auto-PGD: gradient ascent with momentum that halves its own steps, row by row, when they no
longer pay. The loop that the `apgd_…` attacks share.
"""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from stillhouse.attacks.found import Found
from stillhouse.attacks.gradient import margin
from stillhouse.attacks.losses import Loss
from stillhouse.attacks.region import Region
from stillhouse.attacks.shapes import wide
from stillhouse.attacks.slope import Slope
from stillhouse.attacks.threat import Threat

MOMENTUM = 0.75  # the paper's alpha: the share of the new step; the rest repeats the last one
_SPARE = 32  # at most one row more is kept for so many that are open
SUCCESSES = 0.75  # the paper's rho: fewer steps than this share that raise the loss halve the step


@dataclass
class _Path:
    """Where each row is on its way; every field is [b, …], so that rows can leave."""

    rows: Tensor
    region: Region
    targets: Tensor
    at: Tensor
    before: Tensor
    gradient: Tensor
    value: Tensor
    best: Tensor
    best_gradient: Tensor
    best_value: Tensor
    checked_value: Tensor  # the best value at the last checkpoint
    halved: Tensor  # whether the last checkpoint halved the step
    size: Tensor
    rises: Tensor

    def keep(self, which: Tensor) -> "_Path":
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {name: part[which] for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, region=self.region.take(which), **kept)


def auto_pgd(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    loss: Loss,
    found: Found,
    *,
    steps: int,
    restarts: int,
) -> None:
    """Note in `found` whatever projected ascent on the loss meets, from random starts; rows that
    are fooled leave at once.

    z = project(x + η · steepest); x ← project(x + α (z − x) + (1 − α)(x − previous x)). The step η
    starts at 2 epsilon. At checkpoints that follow each other ever faster it is halved, and the row
    goes back to its best point, if fewer than ρ of the steps since the last one raised the loss, or
    if neither the step nor the best loss has changed since. Starts are drawn for all rows, open or
    not.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts.
        loss: What is raised; only its order and its direction matter.
        found: The best so far; changed in place.
        steps: Steps a start.
        restarts: Starts.

    Source:
        Croce and Hein 2020, arXiv:2003.01690, algorithm 1; on going back the gradient at the best
        point is used again, as in the authors' code.
    """
    due, region = checkpoints(steps), threat.around(inputs)
    slope = Slope.of(model, inputs, found.meter)
    for _ in range(restarts):
        start, rows = region.random(generator), found.survivors()
        if not len(rows):
            continue
        path, last = _begin(slope, start[rows], rows, region, targets, loss, found), 0
        for step in range(1, steps + 1):
            path = _without_fallen(path, found.open(path.rows))
            if not len(path.rows):
                break
            _step(slope, path, loss, found, momentum=MOMENTUM if step > 1 else 1.0)
            if step in due:
                _check(path, step - last)
                last = step


def _without_fallen(path: _Path, still: Tensor) -> _Path:
    """Let the rows go that have fallen, but as many as make what is left a multiple of a few: a
    library compiles its work anew for each number of rows, which costs as much as some rows do.
    """
    count = int(still.sum())
    few = 2 ** max(0, (count // _SPARE).bit_length() - 1)
    wanted = -(-count // few) * few
    if wanted >= len(still):
        return path if count else path.keep(still)
    return path.keep(still.sort(descending=True, stable=True).indices[:wanted].sort().values)


def checkpoints(steps: int) -> frozenset[int]:
    """Return after which steps the step size is looked at: shares p₁ = 0.22, then p + max(last
    stretch − 0.03, 0.06), of all steps, rounded up.
    """
    before, at, found = 0.0, 0.22, set()
    while at < 1:
        found.add(math.ceil(at * steps - 1e-9))  # 0.41 · 100 is a little more than 41 in binary
        before, at = at, at + max(at - before - 0.03, 0.06)
    return frozenset(found)


def _begin(
    slope: Slope,
    at: Tensor,
    rows: Tensor,
    region: Region,
    targets: Tensor,
    loss: Loss,
    found: Found,
) -> _Path:
    logits, value, gradient = slope.uphill(at, lambda z: loss(z, rows))
    found.note(at, margin(logits, targets[rows]), rows)
    return _Path(
        rows=rows,
        region=region.take(rows),
        targets=targets[rows],
        at=at,
        before=at,
        gradient=gradient,
        value=value,
        best=at.clone(),
        best_gradient=gradient.clone(),
        best_value=value.clone(),
        checked_value=value.clone(),
        halved=torch.zeros_like(rows, dtype=torch.bool),
        size=torch.full_like(value, 2 * region.threat.epsilon),
        rises=torch.zeros_like(rows),
    )


def _step(slope: Slope, path: _Path, loss: Loss, found: Found, *, momentum: float) -> None:
    region, size = path.region, wide(path.size, path.at)
    aim = region.project(path.at.addcmul(region.steepest(path.gradient, path.at), size))
    moved = aim
    if momentum < 1:
        last = path.at - path.before
        moved = region.project(path.at.lerp(aim, momentum).add_(last, alpha=1 - momentum))
    path.before, path.at = path.at, moved
    logits, value, path.gradient = slope.uphill(moved, lambda z: loss(z, path.rows))
    found.note(moved, margin(logits, path.targets), path.rows)
    path.rises = path.rises + (value > path.value)
    path.value, better = value, torch.nonzero(value > path.best_value).flatten()
    path.best[better], path.best_gradient[better] = moved[better], path.gradient[better]
    path.best_value[better] = value[better]


def _check(path: _Path, stretch: int) -> None:
    """Halve the step of the rows that a checkpoint finds stuck, and take them back to their best
    point.
    """
    stuck = ~path.halved & (path.best_value <= path.checked_value)
    path.halved = (path.rises < SUCCESSES * stretch) | stuck
    path.size = torch.where(path.halved, path.size / 2, path.size)
    path.at = torch.where(wide(path.halved, path.at), path.best, path.at)
    path.gradient = torch.where(wide(path.halved, path.at), path.best_gradient, path.gradient)
    path.checked_value, path.rises = path.best_value.clone(), torch.zeros_like(path.rises)
