"""Randomised smoothing: a classifier that asks a model about many noisy copies of a row, and how
far an l2 attacker would have to go to change its answer. It may abstain.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

ABSTAIN = -1


@dataclass(frozen=True)
class Smoothed:
    """What is certified of each row.

    Attributes:
        classes: [N], int64: the smoothed answer; `ABSTAIN` where the noise decides.
        radius: [N], l2, in the rows' own unit: the answer is the same everywhere nearer than this,
            with probability 1 − alpha for each row; 0 where it abstains.
    """

    classes: Tensor
    radius: Tensor

    def accuracy(self, targets: Tensor, epsilon: float) -> float:
        """Return the share of rows [N] whose certified answer is right and reaches beyond
        epsilon.
        """
        sure = (self.classes == targets) & (self.radius > epsilon)
        return float(sure.double().mean()) if len(targets) else 1.0


def smooth(
    answer: Callable[[Tensor], Tensor],
    inputs: Tensor,
    *,
    sigma: float,
    generator: torch.Generator,
    first: int = 100,
    samples: int = 10_000,
    alpha: float = 0.001,
    batch: int = 1000,
) -> Smoothed:
    """Certify rows, each by a procedure of two samples.

    A first small sample names the likeliest class; a second, independent one bounds its
    probability from below by Clopper and Pearson at one-sided level alpha. Above one half the
    radius is σ · Φ⁻¹(bound); otherwise it abstains.

    Args:
        answer: Rows [B, *shape] to logits [B, C]; it should know such noise from training, or it
            will abstain.
        inputs: [N, *shape].
        sigma: The noise's standard deviation, above 0, in the rows' own unit.
        generator: Draws the noise.
        first: Of the first sample.
        samples: Of the second.
        alpha: The probability, for each row, that its certificate is wrong.
        batch: Noisy copies at once.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, algorithm CERTIFY.
    """
    classes, radii = [], []
    for row in inputs:
        guess = int(_counts(answer, row, first, sigma, generator, batch).argmax())
        hits = int(_counts(answer, row, samples, sigma, generator, batch)[guess])
        least = float(stats.beta.ppf(alpha, hits, samples - hits + 1)) if hits else 0.0
        sure = least > 0.5
        classes.append(guess if sure else ABSTAIN)
        radii.append(sigma * float(stats.norm.ppf(least)) if sure else 0.0)
    return Smoothed(torch.tensor(classes, dtype=torch.int64), torch.tensor(radii))


def predict(
    answer: Callable[[Tensor], Tensor],
    inputs: Tensor,
    *,
    sigma: float,
    generator: torch.Generator,
    samples: int = 1000,
    alpha: float = 0.001,
    batch: int = 1000,
) -> Tensor:
    """Return the smoothed classes [N], or `ABSTAIN` where the two likeliest cannot be told apart.

    A two-sided binomial test of the two largest counts at level alpha decides.

    Args:
        answer: As for `smooth`, as are the others.
        inputs: [N, *shape].
        sigma: Above 0.
        generator: Draws the noise.
        samples: Noisy copies a row.
        alpha: The probability, for each row, of another answer than the smoothed classifier's.
        batch: Noisy copies at once.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, algorithm PREDICT.
    """
    found = []
    for row in inputs:
        top = _counts(answer, row, samples, sigma, generator, batch).topk(2)
        most, next_most = (int(count) for count in top.values)
        p = stats.binomtest(most, most + next_most, 0.5).pvalue
        found.append(int(top.indices[0]) if p <= alpha else ABSTAIN)
    return torch.tensor(found, dtype=torch.int64)


def _counts(
    answer: Callable[[Tensor], Tensor],
    row: Tensor,
    samples: int,
    sigma: float,
    generator: torch.Generator,
    batch: int,
) -> Tensor:
    total: Tensor | None = None
    for part in range(math.ceil(samples / batch)):
        size = min(batch, samples - part * batch)
        noise = torch.randn(size, *row.shape, generator=generator)
        with torch.no_grad():
            logits = answer(row + sigma * noise)
        counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
        total = counts if total is None else total + counts
    return torch.zeros(2, dtype=torch.int64) if total is None else total
