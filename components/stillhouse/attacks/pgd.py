"""PGD: many small steps uphill, each brought back inside the threat, from random starts."""

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.gradient import ascent, margin
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
    found = Found.start(model, inputs, targets)
    for _ in range(restarts):
        start, rows = threat.random(inputs, generator), found.survivors()
        _climb(
            model,
            start[rows],
            rows,
            found,
            clean=inputs,
            targets=targets,
            threat=threat,
            steps=steps,
            step_size=size,
        )
    return found.inputs


def _climb(
    model: nn.Module,
    at: Tensor,
    rows: Tensor,
    found: Found,
    *,
    clean: Tensor,
    targets: Tensor,
    threat: Threat,
    steps: int,
    step_size: float,
) -> None:
    """Climb from `at` for these rows and note what is better than before."""
    for _ in range(steps):
        if not len(rows):
            return
        logits, gradient = ascent(model, at, targets[rows])
        found.note(at, margin(logits, targets[rows]), rows)
        stay = found.open(rows)
        rows, at, gradient = rows[stay], at[stay], gradient[stay]
        at = threat.project(at + step_size * threat.steepest(gradient, clean[rows]), clean[rows])
    if len(rows):
        found.note(at, margins(model, at, targets[rows]), rows)


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
