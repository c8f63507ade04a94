"""Flip: a few categories set to other levels, or a few channels silenced, the worst of all or of
what a search meets.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import Found, margins
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.switches import Choice, Switches, switches_of
from stillhouse.attacks.threat import Threat
from stillhouse.config import Count
from stillhouse.errors import UsageError


def flip(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    queries: int = 1000,
) -> Tensor:
    """Return for each row the point with the smallest margin that was met with at most epsilon
    places changed.

    Where all choices together are no more than `queries`, every one is tried, and what withstands
    them withstands the threat. Else each row goes place by place to the value that leaves the
    smallest margin, and choices are drawn with the questions that are left. Answers are all that it
    asks for.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        inputs: Clean rows, tables [B, D] or series [B, T, D].
        targets: [B], int64.
        threat: category or channels; epsilon is how many places.
        generator: Everything random.
        queries: Questions a row, at most.

    Raises:
        UsageError: There is no place that may change, or epsilon is less than one.
    """
    switches = switches_of(threat.space, inputs)
    most = min(int(threat.epsilon), len(switches.values))
    if most < 1:
        raise UsageError(
            f"no category or channel may change under {threat}.",
            fix="Give a whole number of them, and rows with categories (Space.one_hot for one-hot "
            "columns) or channels that may change.",
        )
    found = Found.start(model, inputs, targets)
    hunt = _Hunt(model, inputs, targets, switches, found)
    if switches.count(most) <= queries:
        for choice in switches.every(most):
            hunt.tried(choice)
        return found.inputs
    left = queries - hunt.climb(most, queries, generator)
    for _ in range(left):
        hunt.tried(switches.draw(most, generator))
    return found.inputs


class _Hunt:
    """The rows, what was found, and who is asked."""

    def __init__(
        self,
        model: nn.Module,
        clean: Tensor,
        targets: Tensor,
        switches: Switches,
        found: Found,
    ) -> None:
        self.model, self.clean, self.targets = model, clean, targets
        self.switches, self.found = switches, found

    def tried(self, choice: Choice) -> None:
        """Try a choice on every row that is not fooled yet."""
        rows = self.found.survivors()
        if len(rows):
            self.asked(self.switches.apply(self.clean[rows], choice), rows)

    def asked(self, at: Tensor, rows: Tensor) -> Tensor:
        told = margins(self.model, at, self.targets[rows])
        self.found.note(at, told, rows)
        return told

    def climb(self, most: int, queries: int, generator: torch.Generator) -> int:
        """Go place by place, each row its own way; return how many questions a row it took."""
        singles = [
            (place, value)
            for place, values in enumerate(self.switches.values)
            for value in range(values)
        ]
        each, used = max(1, queries // (2 * most)), 0
        here = self.clean.clone()
        taken = torch.zeros(len(here), len(self.switches.values), dtype=torch.bool)
        for _ in range(most):
            order = torch.randperm(len(singles), generator=generator)[:each].tolist()
            rows = self.found.survivors()
            if not len(rows):
                break
            best, lowest = here[rows].clone(), torch.full((len(rows),), torch.inf)
            where = torch.zeros(len(rows), dtype=torch.int64)
            for place, value in (singles[at] for at in sorted(order)):
                at = self._step(here[rows], self.clean[rows], place, value, taken[rows, place])
                told = self.asked(at, rows)
                better = told < lowest
                best[better], lowest[better], where[better] = at[better], told[better], place
            here[rows] = best
            taken[rows, where] = True
            used += len(order)
        return used

    def _step(self, here: Tensor, clean: Tensor, place: int, value: int, taken: Tensor) -> Tensor:
        """A place that was set once stays: to set it again would waste the question, not harm."""
        moved = self.switches.set(here, place, value)
        moved = self.switches.space.hold(moved, clean)
        return torch.where(taken.view(-1, *[1] * (here.dim() - 1)), here, moved)


class Flip(Attack):
    """Another level in a few categories of a table; a few channels of a series without a signal."""

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    accepts: ClassVar[frozenset[str]] = frozenset({"table", "series"})
    norms: ClassVar[frozenset[Norm]] = frozenset({"category", "channels"})

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
        return flip(model, inputs, targets, threat, generator, queries=self.queries)
