"""Fault: a sensor that drifts or a clock that runs wrong, the worst of what their bounds allow."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.found import FOOLED_BY, Found, margins
from stillhouse.attacks.shapes import Norm
from stillhouse.attacks.threat import Threat
from stillhouse.attacks.warps import drifted, rates, skewed
from stillhouse.config import Count

# Of the questions, the share that draws anew; the rest refines what was best.
_DRAWN = 0.25
_PART = 0.3  # of the channels that a refinement changes


def worst_drift(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    queries: int = 200,
) -> Tensor:
    """Return for each series the point with the smallest margin among drifts: first the worst of
    some drawn with every channel at an end, then that one changed channel by channel as long as it
    gets worse.

    Args:
        model: Data space [B, T, D] to logits [B, C], in eval mode.
        inputs: Clean series.
        targets: [B], int64.
        threat: drift; epsilon in standard deviations of each channel.
        generator: Everything random.
        queries: Questions a row, at most.
    """
    found, channels = Found.start(model, inputs, targets), inputs.shape[-1]
    rows = found.survivors()
    best = torch.zeros(len(inputs), channels)
    lowest = torch.full((len(inputs),), torch.inf)
    for query in range(queries):
        rows = rows[lowest[rows] > -FOOLED_BY]
        if not found.open(rows).any():
            break
        ends = _ends(len(inputs), channels, generator) * threat.epsilon
        part = torch.rand(len(inputs), channels, 2, generator=generator)
        if query >= _DRAWN * queries:
            change = part[..., 0] < max(_PART, 1 / channels)
            between = torch.where(part[..., 1] < 0.5, ends, ends * (2 * part[..., 1] - 1))
            ends = torch.where(change, between, best)
        at = drifted(inputs[rows], ends[rows], threat.space)
        told = margins(model, at, targets[rows])
        better = told < lowest[rows]
        best[rows[better]], lowest[rows[better]] = ends[rows[better]], told[better]
        found.note(at, told, rows)
    return found.inputs


def worst_skew(model: nn.Module, inputs: Tensor, targets: Tensor, threat: Threat) -> Tensor:
    """Return for each series the point with the smallest margin among 40 wrong clocks; the first
    that fools ends a row's search. Arguments as `worst_drift`.
    """
    found = Found.start(model, inputs, targets)
    for rate in rates(threat.epsilon):
        rows = found.survivors()
        if not len(rows):
            break
        at = skewed(inputs[rows], rate, threat.space)
        found.note(at, margins(model, at, targets[rows]), rows)
    return found.inputs


def _ends(rows: int, channels: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (rows, channels), generator=generator) * 2.0 - 1


class Fault(Attack):
    """What happens to sensors by itself, at its worst: no small change of any value, and none that
    a gradient has to find.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    accepts: ClassVar[frozenset[str]] = frozenset({"series"})
    norms: ClassVar[frozenset[Norm]] = frozenset({"drift", "skew"})

    def __init__(self, *, queries: Count = 200) -> None:
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
        if inputs.dim() != 3:  # no series: there is no time to drift in
            return inputs
        if threat.norm == "skew":
            return worst_skew(model, inputs, targets, threat)
        return worst_drift(model, inputs, targets, threat, generator, queries=self.queries)
