"""What is right and wrong about log-odds [N, L] against labels [N, L]: pure functions, float64
inside, rows and labels in the order given. A label is 1, 0, or NaN where nobody knows, and counts
nowhere then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.dataset import known
from stillhouse.errors import DataError
from stillhouse.evaluation import label_trust
from stillhouse.evaluation.intervals import Interval, bootstrap, jackknife, proportion

SCALARS = (
    "exact_match",
    "hamming_loss",
    "micro_f1",
    "macro_f1",
    "map",
    "macro_auc",
    "nll",
    "ece",
    "worst_ece",
)


def decided(odds: Tensor) -> Tensor:
    """Return which labels a model gives, bool [N, L]: those that it finds likelier than not."""
    return odds > 0


def wrong(odds: Tensor, targets: Tensor) -> Tensor:
    """Return which known labels are decided wrongly, bool [N, L]."""
    return ~targets.isnan() & (decided(odds) != (targets == 1))


def exact_rows(odds: Tensor, targets: Tensor) -> Tensor:
    """Return whether no known label of a row is decided wrongly, bool [N]: its exact match."""
    return ~wrong(odds, targets).any(dim=1)


def belief_rows(odds: Tensor, targets: Tensor) -> Tensor:
    """Return how probable a model finds it that no known label of a row is decided wrongly, [N],
    float64.

    It tells each label by itself, so that what it says of all of them is the product.
    """
    wide = odds.double()
    sure = wide.abs().sigmoid()  # of the decision that is taken, yes or no
    return torch.where(targets.isnan(), 1.0, sure).prod(dim=1)


def hamming_rows(odds: Tensor, targets: Tensor) -> Tensor:
    """Return the share of each row's known labels that is decided wrongly, [N], float64."""
    there = (~targets.isnan()).sum(dim=1).clamp_min(1)
    return wrong(odds, targets).sum(dim=1).double() / there


def nll_rows(odds: Tensor, targets: Tensor) -> Tensor:
    """Return each row's negative log-likelihood, the sum over its known labels, nats [N]."""
    there = ~targets.isnan()
    each = F.binary_cross_entropy_with_logits(odds, targets.nan_to_num(0.0), reduction="none")
    return (each * there).sum(dim=-1)


def f1_parts(odds: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 3 L], float64: labels given rightly, given wrongly, and missed."""
    yes, given = targets == 1, decided(odds)
    no = targets == 0
    return torch.cat([yes & given, no & given, yes & ~given], dim=1).double()


def micro_of_sums(sums: Tensor) -> Tensor:
    """Return the F1 [R] of all labels together, of sums [R, 3 L]; 0 where there is none at all."""
    right, false, missed = (part.sum(dim=1) for part in sums.chunk(3, dim=1))
    return 2 * right / (2 * right + false + missed).clamp_min(1)


def macro_of_sums(sums: Tensor) -> Tensor:
    """Return the mean F1 [R] over the labels that some row has, of sums [R, 3 L]."""
    right, false, missed = sums.chunk(3, dim=1)
    there = right + missed > 0
    each = 2 * right / (2 * right + false + missed).clamp_min(1)
    return (each * there).sum(dim=1) / there.sum(dim=1).clamp_min(1)


@dataclass(frozen=True)
class Ranked:
    """The rows of one label, the likeliest first, as far as they are known.

    Attributes:
        order: Positions [K].
        positive: Which of them have the label, [K], float64.
        ends: The last place of each group of rows that a model cannot tell apart.
    """

    order: Tensor
    positive: Tensor
    ends: Tensor

    @classmethod
    def of(cls, odds: Tensor, targets: Tensor) -> "Ranked":
        """Return the ranking of one label's log-odds [N] against its labels [N]."""
        there = torch.nonzero(~targets.isnan()).flatten()
        order = there[torch.argsort(odds[there], descending=True, stable=True)]
        scores = odds[order]
        last = torch.ones(len(order), dtype=torch.bool)
        last[:-1] = scores[1:] != scores[:-1]
        return cls(order, (targets[order] == 1).double(), torch.nonzero(last).flatten())

    def sums(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return how many rows with the label, and how many in all, stand at or above each end,
        [R, E], where each row stands `counts` times [R, N].
        """
        own = counts[:, self.order]
        return (own * self.positive).cumsum(1)[:, self.ends], own.cumsum(1)[:, self.ends]

    def precision(self, counts: Tensor) -> Tensor:
        """Return the average precision [R]; NaN where no row has the label.

        Source:
            Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval", section
            8.4, on the points of the curve, without interpolation.
        """
        right, above = self.sums(counts)
        gained = right.diff(dim=1, prepend=torch.zeros(len(right), 1, dtype=right.dtype))
        total = right[:, -1:] if right.shape[1] else torch.zeros(len(right), 1)
        found = (gained * right / above.clamp_min(1)).sum(dim=1)
        return found / torch.where(total > 0, total, torch.nan)[:, 0]

    def area(self, counts: Tensor) -> Tensor:
        """Return the area under the ROC curve [R], ties counting half; NaN where no row has the
        label, or every one.
        """
        right, above = self.sums(counts)
        before = torch.zeros(len(right), 1, dtype=right.dtype)
        false = above - right
        gained, lost = right.diff(dim=1, prepend=before), false.diff(dim=1, prepend=before)
        total, others = (each[:, -1] if each.shape[1] else before[:, 0] for each in (right, false))
        pairs = total * others
        below = (gained * (others[:, None] - false + lost / 2)).sum(dim=1)
        return below / torch.where(pairs > 0, pairs, torch.nan)


def ranked(odds: Tensor, targets: Tensor) -> list[Ranked]:
    """Return the ranking of each label."""
    wide = odds.double()
    return [Ranked.of(wide[:, at], targets[:, at]) for at in range(targets.shape[1])]


def mean_precision(of: Sequence[Ranked], counts: Tensor) -> Tensor:
    """Return the mean average precision [R] over the labels that some row has."""
    return torch.stack([each.precision(counts) for each in of]).nanmean(dim=0)


def mean_area(of: Sequence[Ranked], counts: Tensor) -> Tensor:
    """Return the mean area [R] over the labels that some rows have and some have not."""
    return torch.stack([each.area(counts) for each in of]).nanmean(dim=0)


RANKINGS: Mapping[str, Callable[[Sequence[Ranked], Tensor], Tensor]] = {
    "map": mean_precision,
    "macro_auc": mean_area,
}


def scores(odds: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the metrics by name; rankings without a row of either kind are left out, and the worst
    label's calibration where too few rows are known.

    Args:
        odds: [N, L].
        targets: [N, L], each row with a label that is known.
    """
    sums, once = f1_parts(odds, targets).sum(dim=0, keepdim=True), _once(len(targets))
    of = ranked(odds, targets)
    found = {
        "exact_match": float(exact_rows(odds, targets).double().mean()),
        "hamming_loss": float(hamming_rows(odds, targets).mean()),
        "micro_f1": float(micro_of_sums(sums)[0]),
        "macro_f1": float(macro_of_sums(sums)[0]),
        **{name: float(mean(of, once)[0]) for name, mean in RANKINGS.items()},
        "nll": float(nll_rows(odds.double(), targets.double()).mean()),
        **label_trust.scores(odds, targets),
    }
    return {name: value for name, value in found.items() if value == value}


def _once(rows: int) -> Tensor:
    return torch.ones(1, rows, dtype=torch.float64)


def intervals(odds: Tensor, targets: Tensor, seed: int = 0) -> dict[str, Interval]:
    """Return the interval of each metric: exact of the exact match, by the jackknife of rankings,
    else by resampled rows.
    """
    n = len(targets)
    nll = nll_rows(odds.double(), targets.double())[:, None]
    of = ranked(odds, targets)
    rankings = {
        name: jackknife(partial(mean, of), n, seed=seed)
        for name, mean in RANKINGS.items()
        if bool(mean(of, _once(n)).isfinite())
    }
    found = {
        **decision_intervals(odds, targets, seed),
        **rankings,
        "nll": bootstrap(nll, lambda sums: sums[:, 0] / n, seed=seed),
        **label_trust.intervals(odds, targets, seed),
    }
    return _inside(found)


def decision_intervals(odds: Tensor, targets: Tensor, seed: int = 0) -> dict[str, Interval]:
    """Return the interval of each metric that depends on the decisions alone."""
    n, f1 = len(targets), f1_parts(odds, targets)
    missed = hamming_rows(odds, targets)[:, None]
    found = {
        "exact_match": proportion(int(exact_rows(odds, targets).sum()), n),
        "hamming_loss": bootstrap(missed, lambda sums: sums[:, 0] / n, seed=seed),
        "micro_f1": bootstrap(f1, micro_of_sums, seed=seed),
        "macro_f1": bootstrap(f1, macro_of_sums, seed=seed),
    }
    return _inside(found)


def _inside(found: Mapping[str, Interval]) -> dict[str, Interval]:
    """Return intervals cut at the ends of what there can be."""
    return {
        name: (max(low, 0.0), estimate, high if name == "nll" else min(high, 1.0))
        for name, (low, estimate, high) in found.items()
    }


def by_label(odds: Tensor, targets: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each label its rows, and how well it is told, ready for JSON.

    Returns:
        `name`; `rows` of which it is known, `positive` of which have it; `accuracy`, the share
        decided rightly, and `found`, that of the rows that have it, each [low, estimate, high],
        exact at 95 %, null without rows; `f1`, `ap` (average precision), `auc` and `ece` (of
        at least 40 rows), null where nothing can be said.
    """
    bad, once = wrong(odds, targets), _once(len(targets))
    gaps, told = label_trust.by_label(odds, targets), []
    for at, (name, of) in enumerate(zip(names, ranked(odds, targets), strict=True)):
        own, there = targets[:, at], ~targets[:, at].isnan()
        yes = own == 1
        right = ~bad[:, at]
        sums = f1_parts(odds[:, at : at + 1], own[:, None]).sum(dim=0, keepdim=True)
        told.append(
            {
                "name": name,
                "rows": int(there.sum()),
                "positive": int(yes.sum()),
                "accuracy": _share(right[there]),
                "found": _share(right[yes]),
                "f1": float(micro_of_sums(sums)[0]) if yes.any() else None,
                "ap": _number(of.precision(once)),
                "auc": _number(of.area(once)),
                "ece": gaps[at],
            }
        )
    return told


def _share(right: Tensor) -> list[float] | None:
    return list(proportion(int(right.sum()), len(right))) if len(right) else None


def _number(value: Tensor) -> float | None:
    return float(value[0]) if bool(np.isfinite(float(value[0]))) else None


def report(odds: Tensor, targets: Tensor, names: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Return everything that evaluation knows of a split, ready for JSON.

    Returns:
        `rows` (count), each metric as [low, estimate, high] at 95 %, and `per_label`; see
        `by_label`.

    Raises:
        DataError: No row has a label that is known.
    """
    there = known(targets)
    odds, targets = odds[there], targets[there]
    if not len(targets):
        raise DataError("no row has a label.", fix="Evaluation needs labelled rows.")
    found = intervals(odds, targets, seed)
    return {
        "rows": len(targets),
        **{name: list(interval) for name, interval in found.items()},
        "per_label": by_label(odds, targets, names),
    }
