"""DeepFool: the model taken for linear, over and over, and the row moved just over its nearest
boundary.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.gradient import differences, margin, rivals
from stillhouse.attacks.hyperplane import dual, nearest
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, NonNegative


def deepfool(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    classes: int = 10,
) -> Tensor:
    """Return for each row the point inside the threat with the smallest margin on DeepFool's way
    over the nearest boundary.

    The way itself is not held inside the ball, only inside the bounds: it looks for the nearest
    boundary, wherever that is. Each point of it is also pulled back into the ball, and that point
    is asked about and kept. A row leaves when one of the two is fooled: further on there is nothing
    nearer.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        steps: At most.
        overshoot: By what share each way to a boundary is made longer.
        classes: How many of the likeliest wrong classes are looked at, each a backward pass a step.

    Source:
        Moosavi-Dezfooli, Fawzi and Frossard 2016, arXiv:1511.04599, algorithm 2; for linf, equation
        10 with its dual norm.
    """
    found = Found.start(model, inputs, targets)
    with torch.no_grad():
        goals = rivals(model(inputs), targets, classes)
    rows = found.survivors()
    at = inputs[rows]
    for _ in range(steps):
        if not len(rows):
            break
        logits, gaps, slopes = differences(model, at, targets[rows], goals[rows])
        stay = (margin(logits, targets[rows]) > -FOOLED_BY) & found.open(rows)
        rows, at = rows[stay], at[stay]
        at = _over(at, inputs[rows], gaps[stay], slopes[stay], threat, overshoot)
        if len(rows):
            inside = threat.landing(at, inputs[rows])
            found.note(inside, margins(model, inside, targets[rows]), rows)
    return found.inputs


def _over(
    at: Tensor, clean: Tensor, gaps: Tensor, slopes: Tensor, threat: Threat, overshoot: float
) -> Tensor:
    """Move each row [b, *shape] over the nearest of K boundaries, given by how far below them [b,
    K] it lies and the slopes of that [b, K, *shape].
    """
    space = threat.space
    of_unit = torch.where(
        space.open(clean)[:, None], slopes.nan_to_num(0.0, 0.0, 0.0) * space.scale, 0.0
    ).flatten(2)
    each = torch.arange(len(at))
    best = nearest(gaps, of_unit, threat.norm)
    normal, gap = of_unit[each, best], gaps[each, best].abs()
    size = dual(normal, threat.norm).clamp_min(torch.finfo(normal.dtype).tiny)
    far = (1 + overshoot) * (gap + FOOLED_BY) / size
    far = torch.where(far.isfinite(), far, 0.0).view(-1, *[1] * (at.dim() - 1))
    step = threat.steepest(slopes[each, best], clean)
    return space.clip(at + far * step, clean)


class DeepFool(Attack):
    """The nearest boundary by linear steps: quick, and a fair guess at how far each row is from
    being fooled.
    """

    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})

    def __init__(
        self, *, steps: Count = 50, overshoot: NonNegative = 0.02, classes: Count = 10
    ) -> None:
        self.steps, self.overshoot, self.classes = steps, overshoot, classes

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        return deepfool(
            model,
            inputs,
            targets,
            threat,
            steps=self.steps,
            overshoot=self.overshoot,
            classes=self.classes,
        )
