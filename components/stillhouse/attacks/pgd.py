"""PGD: many small steps uphill, each brought back inside the threat, from random starts."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.gradient import ascent, margin
from stillhouse.attacks.region import Region
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count, Positive


def pgd(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    steps: int = 20,
    restarts: int = 1,
    step_size: float | None = None,
) -> Tensor:
    """Return for each row the iterate with the smallest margin that projected gradient ascent met,
    over all restarts.

    x ← project(x + step size · steepest direction of the cross-entropy at x), from a start drawn
    evenly from the ball. A row that is fooled leaves the active set and costs nothing more. Starts
    are drawn for all rows, active or not, so that what happens to one row never depends on
    another's luck.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows [B, *shape].
        targets: [B], int64.
        threat: Norm, epsilon, bounds, what may change.
        generator: Draws the starts.
        steps: Steps a start.
        restarts: Starts.
        step_size: In epsilon's units; 2.5 · epsilon / steps if None, enough to cross the ball and
            come to rest.

    Source:
        Madry, Makelov, Schmidt, Tsipras and Vladu 2018, arXiv:1706.06083, section 2.1; the step
        size from their code.
    """
    size = 2.5 * threat.epsilon / steps if step_size is None else step_size
    found, region = Found.start(model, inputs, targets), threat.around(inputs)
    for _ in range(restarts):
        start, rows = region.random(generator), found.survivors()
        path = Climb(rows, start[rows], targets[rows], region.take(rows))
        climb(model, path, found, steps=steps, step_size=size)
    return found.inputs


@dataclass(frozen=True)
class Climb:
    """Rows on their way up, [b, …] each.

    Attributes:
        rows: Their positions in the batch.
        at: Where they are.
        targets: Their classes.
        region: Where they may go.
    """

    rows: Tensor
    at: Tensor
    targets: Tensor
    region: Region

    def take(self, which: Tensor) -> "Climb":
        """Return those of the rows, by position or bool [b]."""
        return Climb(self.rows[which], self.at[which], self.targets[which], self.region.take(which))


def climb(model: nn.Module, path: Climb, found: Found, *, steps: int, step_size: float) -> None:
    """Take so many steps and note what is better than before; rows that are fooled leave."""
    for _ in range(steps):
        if not len(path.rows):
            return
        logits, gradient = ascent(model, path.at, path.targets)
        found.note(path.at, margin(logits, path.targets), path.rows)
        stay = found.open(path.rows)
        if not stay.all():
            path, gradient = path.take(stay), gradient[stay]
        step = path.region.steepest(gradient, path.at)
        path = replace(path, at=path.region.project(path.at.add(step, alpha=step_size)))
    if len(path.rows):
        found.note(path.at, margins(model, path.at, path.targets), path.rows)


class PGD(Attack):
    """Projected gradient ascent on the loss: what a first-order attacker who knows the model can be
    expected to find.
    """

    def __init__(
        self, *, steps: Count = 20, restarts: Count = 1, step_size: Positive | None = None
    ) -> None:
        self.steps, self.restarts, self.step_size = steps, restarts, step_size

    def perturb(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        threat: Threat,
        generator: torch.Generator,
    ) -> Tensor:
        return pgd(
            model,
            inputs,
            targets,
            threat,
            generator,
            steps=self.steps,
            restarts=self.restarts,
            step_size=self.step_size,
        )
