"""What is right and wrong about logits [N, C] against targets [N]: pure functions, float64 inside,
rows and classes in the order given.
"""

from typing import NamedTuple, TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

from stillhouse.evaluation.intervals import Interval, proportion

BINS = 15  # of the confidence, equally wide, as in Guo et al. 2017


class ClassCount(TypedDict):
    """How often one class was recognised."""

    name: str
    rows: int
    correct: int
    interval: Interval | None


class Bin(NamedTuple):
    """Rows whose confidence lies in (low, high].

    Attributes:
        low: Confidence.
        high: Confidence.
        rows: Count.
        confidence: Mean of them; 0 where there are no rows.
        accuracy: Share of them that is correct; 0 where there are no rows.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def probabilities(logits: Tensor) -> Tensor:
    """Return softmax, [N, C], float64."""
    return F.softmax(logits.double(), dim=-1)


def correct(logits: Tensor, targets: Tensor) -> Tensor:
    """Return whether each row's largest logit is its target's, bool [N]; a tie goes to the first
    class.
    """
    return logits.argmax(dim=-1) == targets


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Return the share of rows that are correct."""
    return float(correct(logits, targets).double().mean())


def balanced_accuracy(logits: Tensor, targets: Tensor) -> float:
    """Return the mean over the classes that occur of the share of their rows that is correct."""
    return float(balanced_of_sums(balanced_parts(logits, targets).sum(dim=0, keepdim=True))[0])


def nll(logits: Tensor, targets: Tensor) -> float:
    """Return the mean negative log-likelihood of the targets, nats."""
    return float(nll_rows(logits, targets).mean())


def brier(logits: Tensor, targets: Tensor) -> float:
    """Return the mean squared distance between probabilities and the one-hot target, in [0, 2]
    (Brier 1950).
    """
    return float(brier_rows(logits, targets).mean())


def ece(logits: Tensor, targets: Tensor) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy over 15
    equally wide bins, weighted by their rows.

    Source:
        Guo, Pleiss, Sun and Weinberger 2017, arXiv:1706.04599, equation 3.
    """
    return float(ece_of_sums(ece_parts(logits, targets).sum(dim=0, keepdim=True), len(targets))[0])


# --- by row: what a row adds to the sums that a metric is made of, so that resampled rows cost one
# product ------------------------------------------


def nll_rows(logits: Tensor, targets: Tensor) -> Tensor:
    """Return each row's negative log-likelihood, nats [N]."""
    return F.cross_entropy(logits.double(), targets, reduction="none")


def brier_rows(logits: Tensor, targets: Tensor) -> Tensor:
    """Return each row's squared distance to the one-hot target, [N]."""
    return ((probabilities(logits) - F.one_hot(targets, logits.shape[-1])) ** 2).sum(dim=-1)


def balanced_parts(logits: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 2 C]: one at the row's class, then one at it if the row is correct."""
    member = F.one_hot(targets, logits.shape[-1]).double()
    return torch.cat([member, member * correct(logits, targets)[:, None]], dim=-1)


def balanced_of_sums(sums: Tensor) -> Tensor:
    """Return the balanced accuracy [R] of sums [R, 2 C]; classes without a row do not count."""
    rows, right = sums.chunk(2, dim=-1)
    return (right / rows.clamp(min=1)).sum(dim=-1) / (rows > 0).sum(dim=-1)


def bin_of(confidence: Tensor) -> Tensor:
    """Return each confidence's bin, int64 [N]: bin k holds (k/15, (k+1)/15]."""
    return (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)


def ece_parts(logits: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 15]: confidence − correct, in the row's bin."""
    confidence = probabilities(logits).amax(dim=-1)
    return (
        F.one_hot(bin_of(confidence), BINS)
        * (confidence - correct(logits, targets).double())[:, None]
    )


def ece_of_sums(sums: Tensor, rows: int) -> Tensor:
    """Return the ECE [R] of sums [R, 15] over `rows` rows each."""
    return sums.abs().sum(dim=-1) / rows


# --- tables -------------------------------------------------------------------------------------


def per_class(logits: Tensor, targets: Tensor, classes: tuple[str, ...]) -> list[ClassCount]:
    """Return for each class its rows, how many are correct, and the exact 95 % interval of that
    share (None without rows).
    """
    rows = torch.bincount(targets, minlength=len(classes)).tolist()
    right = torch.bincount(targets[correct(logits, targets)], minlength=len(classes)).tolist()
    counts = zip(classes, rows, right, strict=True)
    return [
        {"name": name, "rows": n, "correct": k, "interval": proportion(k, n) if n else None}
        for name, n, k in counts
    ]


def confusion(logits: Tensor, targets: Tensor) -> Tensor:
    """Return counts [C, C]: row = target, column = decision."""
    classes = logits.shape[-1]
    return torch.bincount(
        targets * classes + logits.argmax(dim=-1), minlength=classes * classes
    ).reshape(classes, classes)


def reliability(logits: Tensor, targets: Tensor) -> list[Bin]:
    """Return the 15 bins of confidence with mean confidence and accuracy: what ECE sums, to
    draw.
    """
    confidence = probabilities(logits).amax(dim=-1)
    at, right = bin_of(confidence), correct(logits, targets).double()
    found = []
    for k in range(BINS):
        inside = at == k
        n = int(inside.sum())
        mean = (float(confidence[inside].mean()), float(right[inside].mean())) if n else (0.0, 0.0)
        found.append(Bin(k / BINS, (k + 1) / BINS, n, *mean))
    return found
