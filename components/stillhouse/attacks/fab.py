"""FAB: along the boundary towards the clean row, for the nearest row that fools."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.gradient import differences, rivals
from stillhouse.attacks.hyperplane import nearest, towards
from stillhouse.attacks.shapes import BALLS
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count

FURTHER = 1.05  # the paper's η: each projection is overdone by so much
BEYOND = (
    2 * FOOLED_BY
)  # the boundary that is looked for: on the model's own, no step would ever fool by enough to count
BACK = 0.9  # its β: a row that fools is pulled back to so much of its way
MOST_BIAS = 0.1  # its α_max: the largest share that the projection of the clean row has in a step


def fab(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 100,
    restarts: int = 1,
    goals: int = 9,
    targeted: bool = False,
) -> Tensor:
    """Return for each row a point inside the threat that fools the model, the first that FAB's
    search for the nearest one meets.

    Step: the boundary is taken for the plane that the gradient gives, both the point and the clean
    row are projected on it inside the bounds, and the point moves to a mixture of the two, the more
    biased to the clean row the further away it is. A point that fools is pulled back towards the
    clean row and the search goes on along the boundary, until it fools inside the threat. The first
    start is the clean row, others are drawn from the ball.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts after the first.
        steps: Steps a start.
        restarts: Starts; of a targeted search, starts a goal.
        goals: How many of the likeliest wrong classes are looked at: in one search for the nearest,
            or one after the other.
        targeted: Whether each goal has a search of its own, at one backward pass a step instead of
            `goals`.

    Source:
        Croce and Hein 2020, arXiv:1907.02044, algorithm 1; targeted as in AutoAttack,
        arXiv:2003.01690. The final search is left out: it only shortens a perturbation that is
        inside the threat already.
    """
    found = Found.start(model, inputs, targets)
    with torch.no_grad():
        aims = rivals(model(inputs), targets, goals)
    room = _Room.of(inputs, threat)
    for goal in torch.split(aims, 1, dim=1) if targeted else (aims,):
        for restart in range(restarts):
            start = threat.random(inputs, generator) if restart else inputs
            rows = found.survivors()
            _search(model, start[rows], rows, goal, targets, threat, found, room, steps)
    return found.inputs


@dataclass(frozen=True)
class _Room:
    """The clean rows, flat, and where they may go, in units of the threat's scale: [B, D] each;
    what may not change has no room, what is missing is 0.
    """

    clean: Tensor
    low: Tensor
    high: Tensor
    scale: Tensor
    rows: Tensor

    @classmethod
    def of(cls, inputs: Tensor, threat: Threat) -> "_Room":
        space, free = threat.space, threat.space.open(inputs)
        whole = (inputs / space.scale).nan_to_num(0.0)
        low = torch.where(
            free, torch.minimum(space.low.expand_as(inputs), inputs) / space.scale, whole
        )
        high = torch.where(
            free, torch.maximum(space.high.expand_as(inputs), inputs) / space.scale, whole
        )
        return cls(whole.flatten(1), low.flatten(1), high.flatten(1), space.scale, inputs)

    def raw(self, units: Tensor, rows: Tensor) -> Tensor:
        """Return points [b, D] in units as rows [b, *shape]; what did not move has its own bits,
        missing cells are missing.
        """
        clean = self.rows[rows]
        change = (units - self.clean[rows]).view_as(clean)
        return torch.where(change == 0, clean, clean + change * self.scale)


def _search(
    model: nn.Module,
    start: Tensor,
    rows: Tensor,
    aims: Tensor,
    targets: Tensor,
    threat: Threat,
    found: Found,
    room: _Room,
    steps: int,
) -> None:
    at = (start / threat.space.scale).nan_to_num(0.0).flatten(1)
    for _ in range(steps):
        if not len(rows):
            return
        raw = room.raw(at, rows)
        _, gaps, slopes = differences(model, raw, targets[rows], aims[rows])
        slopes = (slopes * threat.space.scale).nan_to_num(0.0, 0.0, 0.0).flatten(2)
        at = _step(at, gaps - BEYOND, slopes, rows, room, threat)
        raw = room.raw(at, rows)
        margin = margins(model, raw, targets[rows])
        fools = margin < -FOOLED_BY
        inside = fools & (threat.size(raw, room.rows[rows]) <= threat.epsilon)
        if bool(threat.space.whole.any()):  # a boundary is seldom met at whole numbers
            raw = threat.landing(raw, room.rows[rows])
            margin = margins(model, raw, targets[rows])
            inside = margin < -FOOLED_BY
        found.note(raw[inside], margin[inside], rows[inside])
        clean = room.clean[rows]
        at = torch.where(fools[:, None], clean + (at - clean) * BACK, at)[~inside]
        rows = rows[~inside]


def _step(
    at: Tensor, gaps: Tensor, slopes: Tensor, rows: Tensor, room: _Room, threat: Threat
) -> Tensor:
    """Return the next points [b, D] in units.

    Args:
        at: Where they are.
        gaps: [b, K], by how much each goal's logit beats the target's, less what it must beat it
            by.
        slopes: [b, K, D], how that changes.
        rows: [b], which rows they are.
        room: The clean rows and their bounds.
        threat: For its norm.
    """
    each, clean, low, high = (
        torch.arange(len(at)),
        room.clean[rows],
        room.low[rows],
        room.high[rows],
    )
    best = nearest(gaps, slopes, threat.norm)
    normal, gap = slopes[each, best], gaps[each, best]
    way = towards(at, normal, -gap, low, high, threat.norm).to(at.dtype) - at
    home = (
        towards(clean, normal, -gap + ((at - clean) * normal).sum(1), low, high, threat.norm).to(
            at.dtype
        )
        - clean
    )
    far, near = BALLS[threat.norm].size(way), BALLS[threat.norm].size(home)
    bias = (far / (far + near).clamp_min(1e-8)).clamp(0.0, MOST_BIAS)[:, None]
    mixed = (1 - bias) * (at + FURTHER * way) + bias * (clean + FURTHER * home)
    return mixed.maximum(low).minimum(high)


class FAB(Attack):
    """The fast adaptive boundary attack: needs no step size and no scale of the loss, and starts
    from the row itself.
    """

    def __init__(
        self, *, steps: Count = 100, restarts: Count = 1, goals: Count = 9, targeted: bool = False
    ) -> None:
        self.steps, self.restarts, self.goals, self.targeted = steps, restarts, goals, targeted

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return fab(
            model,
            inputs,
            targets,
            threat,
            generator,
            steps=self.steps,
            restarts=self.restarts,
            goals=self.goals,
            targeted=self.targeted,
        )
