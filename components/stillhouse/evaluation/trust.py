"""How far a model's confidence can be relied on: calibration in bins of equal size, the risk that
is left when the unsure rows are set aside, and agreement with another model by class.

Pure functions of logits [N, C] and targets [N], float64 inside, rows in the order given.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from stillhouse.evaluation import metrics

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class Covered(NamedTuple):
    """What is left when only the surest rows are answered.

    Attributes:
        coverage: Share of the rows that is answered.
        rows: How many.
        wrong: How many of these answers are wrong.
        confidence: The least confidence among them: answer from here on.
    """

    coverage: float
    rows: int
    wrong: int
    confidence: float


def confidence(logits: Tensor) -> Tensor:
    """Return the probability of the answer that is given, [N]."""
    return metrics.probabilities(logits).amax(dim=-1)


def adaptive_ece(logits: Tensor, targets: Tensor) -> float:
    """Return the calibration error over 15 bins that hold equally many rows.

    Where nearly all confidences are near 1, bins of equal width put them into one, and hide what is
    wrong inside it.

    Source:
        Nixon, Dusenberry, Zhang, Jerfel and Tran 2019, arXiv:1904.01685, section 3 (one adaptive
        binning of the top answer's confidence).
    """
    sums = adaptive_parts(logits, targets).sum(dim=0, keepdim=True)
    return float(metrics.ece_of_sums(sums, len(targets))[0])


def adaptive_parts(logits: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 15]: confidence − correct, in the row's bin; rows of equal confidence keep their
    order.
    """
    sure = confidence(logits)
    n, bins = len(sure), metrics.BINS
    rank = torch.empty(n, dtype=torch.long)
    rank[torch.argsort(sure, stable=True)] = torch.arange(n)
    at = torch.nn.functional.one_hot(rank * bins // max(n, 1), bins)
    return at * (sure - metrics.correct(logits, targets).double())[:, None]


def risk_coverage(logits: Tensor, targets: Tensor) -> list[Covered]:
    """Return the risk at each of a few coverages, the surest rows first.

    Source:
        Geifman and El-Yaniv 2017, arXiv:1705.08500, section 2.
    """
    sure, wrong = _surest_first(logits, targets)
    told = []
    for coverage in COVERAGES:
        rows = max(1, round(coverage * len(sure)))
        told.append(Covered(coverage, rows, int(wrong[:rows].sum()), float(sure[rows - 1])))
    return told


def aurc(logits: Tensor, targets: Tensor) -> float:
    """Return the area under the risk-coverage curve, in [0, 1]: the mean risk over every coverage,
    less is better.

    Source:
        Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, section 3.
    """
    _, wrong = _surest_first(logits, targets)
    return float(aurc_of(wrong.double(), torch.ones(1, len(wrong), dtype=torch.float64))[0])


def aurc_of(wrong: Tensor, counts: Tensor) -> Tensor:
    """Return the area [R] where each row stands `counts` times.

    Args:
        wrong: [N], the surest row first.
        counts: [R, N], how often each was drawn, in the same order.
    """
    answered = counts.cumsum(dim=-1)
    risk = (counts * wrong).cumsum(dim=-1) / answered.clamp_min(1.0)
    return (counts * risk).sum(dim=-1) / answered[:, -1].clamp_min(1.0)


def surest_first(logits: Tensor) -> Tensor:
    """Return the positions [N] of the rows, the surest first; ties keep their order."""
    return torch.argsort(confidence(logits), descending=True, stable=True)


def _surest_first(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    order = surest_first(logits)
    return confidence(logits)[order], ~metrics.correct(logits, targets)[order]


def agrees(logits: Tensor, other: Tensor) -> Tensor:
    """Return whether two models [N, C] give the same answer to each row, bool [N]."""
    return logits.argmax(dim=-1) == other.argmax(dim=-1)


def by_class(outcomes: Tensor, classes: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return each class's outcomes, by name, classes without a row left out.

    Args:
        outcomes: [N], bool.
        classes: [N], codes into `names`.
        names: C of them.
    """
    members = ((name, classes == code) for code, name in enumerate(names))
    return {name: outcomes[own] for name, own in members if own.any()}
