"""Foresee, from some of N test rows, what an exact test on all of them will say: a verdict that may
be looked at after every row, and stops the costly part of a suite as soon as it is settled.

The N outcomes exist already and are only unknown: K of them are right. The fixed-n test passes
where K is at least `least`, so the question is about a finite set, not about the population. Rows
are drawn in random order without replacement; after n rows, s of them right, each K has the
likelihood of that very sequence. The evidence for passing is

    E = mean of the likelihoods over K ≥ least / the largest likelihood of any K < least

and as the mean's ratio to the true K's likelihood is a martingale that starts at 1, P(E ever
reaches 1/δ although K < least) ≤ δ, however often one looks (Ville). Evidence for failing is its
mirror. Where no K of the other side is left the evidence is infinite: that is curtailment, and it
costs no error.

The verdict on the population is then wrong with a probability of at most α₁ + δ: α₁ of the fixed-n
test, δ of foreseeing it.

Source:
    Ville 1939 for the inequality; Waudby-Smith and Ramdas 2020, NeurIPS 33, "Confidence sequences
    for sampling without replacement", for likelihood ratios over a finite population.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError
from stillhouse.evaluation import intervals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Foreseen = Literal["pass", "fail"]


def least_passing(total: int, bound: float, alpha: float) -> int:
    """Return the fewest right rows of `total` whose exact lower bound reaches `bound`; `total` + 1
    where not even all do.

    Args:
        total: N, at least 1.
        bound: What the population's share must reach, 0 to 1.
        alpha: Error rate of the one-sided Clopper-Pearson bound.

    Example:
        >>> least_passing(1000, 0.6, 0.05)
        626
    """
    low, high = -1, total + 1
    while high - low > 1:
        middle = (low + high) // 2
        reaches = intervals.lower(middle, total, alpha) >= bound
        low, high = (low, middle) if reaches else (middle, high)
    return high


@dataclass(frozen=True)
class Foresight:
    """When to stop looking.

    Attributes:
        total: N rows that would be looked at in the end.
        least: The fixed-n test passes where at least so many are right.
        delta: Probability, at most, of foreseeing what the fixed-n test would not have said, for
            either verdict.
    """

    total: int
    least: int
    delta: float = 0.01

    def __post_init__(self) -> None:
        if self.total < 1 or not 0 < self.delta < 1:
            raise DataError(
                f"{self.total} rows at δ = {self.delta:g} are nothing to foresee.",
                fix="Give at least one row and a δ between 0 and 1.",
            )

    def evidence(self, seen: int, right: int) -> tuple[float, float]:
        """Return log E for passing and for failing after `seen` rows, `right` of them right.

        Raises:
            DataError: There are no such counts.
        """
        if not 0 <= right <= seen <= self.total:
            raise DataError(f"{right} of {seen} rows, of {self.total} in all, is no count.")
        chances = _log_chances(self.total, seen, right)
        below, above = chances[: max(self.least, 0)], chances[max(self.least, 0) :]
        return _log_mean(above) - _largest(below), _log_mean(below) - _largest(above)

    def verdict(self, seen: int, right: int) -> Foreseen | None:
        """Return what the fixed-n test will say, or None as long as it is open.

        It may be asked after every row, and after the last one it always knows. Errors as
        `evidence`.
        """
        passing, failing = self.evidence(seen, right)
        if passing >= -np.log(self.delta):
            return "pass"
        return "fail" if failing >= -np.log(self.delta) else None

    def limits(self, seen: int) -> tuple[int, int]:
        """Return (fewest right rows that settle a pass, most right rows that settle a fail) after
        `seen` rows; `seen` + 1 and −1 where none does. Evidence grows with each right row.
        """
        pass_low, pass_high = -1, seen + 1
        while pass_high - pass_low > 1:
            middle = (pass_low + pass_high) // 2
            settled = self.verdict(seen, middle) == "pass"
            pass_low, pass_high = (pass_low, middle) if settled else (middle, pass_high)
        fail_low, fail_high = -1, pass_high
        while fail_high - fail_low > 1:
            middle = (fail_low + fail_high) // 2
            settled = self.verdict(seen, middle) == "fail"
            fail_low, fail_high = (middle, fail_high) if settled else (fail_low, middle)
        return pass_high, fail_low


@dataclass(frozen=True)
class Course:
    """What a foresight does where K is known, exactly, not by simulation.

    Attributes:
        passes: Probability of the verdict pass.
        fails: Probability of the verdict fail.
        rows: Mean number of rows at which it stops.
        at_most: Rows [len(quantiles)] within which it stops with the probability asked for.
    """

    passes: float
    fails: float
    rows: float
    at_most: tuple[int, ...]


def course(
    foresight: Foresight,
    truly_right: int,
    *,
    every: int = 1,
    quantiles: tuple[float, ...] = (0.5, 0.9),
) -> Course:
    """Return how a foresight ends where K rows are truly right, by going through all orders at
    once: the distribution of right rows among those still open, row by row.

    Args:
        foresight: The rule.
        truly_right: K.
        every: It looks after so many rows each time.
        quantiles: Of the number of rows.
    """
    total = foresight.total
    open_ = np.zeros(total + 1)  # probability by right rows, of orders that are not yet settled
    open_[0] = 1.0
    passes = fails = 0.0
    stopped = np.zeros(total + 1)
    for seen in range(1, total + 1):
        left = total - seen + 1
        right = np.arange(total + 1)
        next_right = np.clip((truly_right - right) / left, 0.0, 1.0)
        stepped = open_ * (1 - next_right)
        stepped[1:] += (open_ * next_right)[:-1]
        open_ = stepped
        if seen % every and seen < total:
            continue
        fewest, most = foresight.limits(seen)
        passed, failed = float(open_[fewest:].sum()), float(open_[: most + 1].sum())
        passes, fails, stopped[seen] = passes + passed, fails + failed, passed + failed
        open_[fewest:], open_[: most + 1] = 0.0, 0.0
        if open_.sum() < 1e-12:
            break
    within = np.cumsum(stopped)
    at_most = tuple(int(np.searchsorted(within, q - 1e-12)) for q in quantiles)
    return Course(passes, fails, float((stopped * np.arange(total + 1)).sum()), at_most)


def verdicts(foresight: Foresight, *, every: int = 1) -> tuple[Floats, Floats]:
    """Return the probability of passing and of failing [N + 1] by how many rows are truly right,
    for whoever looks after so many rows each time and stops as soon as it is settled: all orders
    of all N + 1 sets at once, nothing drawn.

    Args:
        foresight: The rule.
        every: 1: after every row; N: only at the end, which is the fixed-n test.

    Example:
        >>> passes, fails = verdicts(Foresight(4, 2, 0.1), every=4)
        >>> passes.tolist(), fails.tolist()
        ([0.0, 0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0, 0.0])
    """
    total = foresight.total
    right = np.arange(total + 1)
    open_ = np.zeros((total + 1, total + 1))  # probability by truly right and right so far
    open_[:, 0] = 1.0
    passes, fails = np.zeros(total + 1), np.zeros(total + 1)
    for seen in range(1, total + 1):
        next_right = np.clip((right[:, None] - right) / (total - seen + 1), 0.0, 1.0)
        stepped = open_ * (1 - next_right)
        stepped[:, 1:] += (open_ * next_right)[:, :-1]
        open_ = stepped
        if seen % every and seen < total:
            continue
        fewest, most = foresight.limits(seen)
        passes += open_[:, fewest:].sum(axis=1)
        fails += open_[:, : most + 1].sum(axis=1)
        open_[:, fewest:], open_[:, : most + 1] = 0.0, 0.0
    return passes, fails


@dataclass(frozen=True)
class Peeking:
    """How much looking early changes, at worst.

    Attributes:
        changed: The probability that the verdict is not that of the fixed-n test, the largest over
            all N + 1 numbers of truly right rows.
        passes: The probability that a population exactly at the bound passes.
        fixed: The same of the fixed-n test.
    """

    changed: float
    passes: float
    fixed: float


def peeking(foresight: Foresight, bound: float, *, every: int = 1) -> Peeking:
    """Return what looking after every so many rows changes, exactly.

    Args:
        foresight: The rule.
        bound: The population's share at the bound.
        every: Rows between two looks.
    """
    from scipy.stats import binom

    passes, fails = verdicts(foresight, every=every)
    right = np.arange(foresight.total + 1)
    wrong = np.where(right >= foresight.least, fails, passes)
    weights = binom.pmf(right, foresight.total, bound)
    return Peeking(
        float(wrong.max()),
        float((weights * passes).sum()),
        float(weights[right >= foresight.least].sum()),
    )


@lru_cache(maxsize=4)
def _log_factorials(total: int) -> Floats:
    from scipy.special import gammaln

    return np.asarray(gammaln(np.arange(total + 1) + 1.0))


def _log_chances(total: int, seen: int, right: int) -> Floats:
    """Return for K = 0 … N the log probability of one order of `right` right and `seen − right`
    wrong rows, but for a constant that no ratio sees; −∞ where it cannot be.
    """
    log = _log_factorials(total)
    rights = np.arange(total + 1)
    rest, wrong_rest = rights - right, total - rights - (seen - right)
    possible = (rest >= 0) & (wrong_rest >= 0)
    chances = np.full(total + 1, -np.inf)
    chances[possible] = (
        log[rights[possible]]
        - log[rest[possible]]
        + log[total - rights[possible]]
        - log[wrong_rest[possible]]
    )
    return chances


def _largest(chances: Floats) -> float:
    return float(chances.max()) if len(chances) else -np.inf


def _log_mean(chances: Floats) -> float:
    top = _largest(chances)
    if not np.isfinite(top):
        return -np.inf
    return top + float(np.log(np.exp(chances - top).mean()))
