"""Foresee, from some of N rows on which two models are compared, what the exact test of
non-inferiority on all of them will say.

The device is that of `sequential`, on the discordant rows: of N rows L are lost and W won, and only
unknown yet. After n rows, l of them lost and w won, each (L, W) has the likelihood of that very
sequence, and the evidence for passing is

    E = mean of the likelihoods over some (L, W) that pass / the largest likelihood of any other

whose expectation under every (L, W) that does not pass is at most 1, so that P(E ever reaches 1/δ)
≤ δ however often one looks. Evidence for not passing is its mirror.

Which (L, W) pass is decided by the exact test, at a few numbers of discordant rows, where more wins
never turn a pass. In between it follows from fewer losses and no fewer wins, with a win to spare:
the test searches its nuisance in cells that depend on how many rows are discordant, so that its
p-value nearly falls with every loss less, but not quite. What is not settled by that counts as
evidence for neither side. `peeking_pairs` tells by how much the verdict changes, exactly.

Source:
    As `sequential`; Waudby-Smith and Ramdas 2020, NeurIPS 33, for likelihood ratios over a finite
    population.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError
from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Foreseen = Literal["pass", "not"]
DISCORDANT, WON = 160, 96  # points of the mixture: numbers of discordant rows, and of wins in each
EXACT = 33  # numbers of discordant rows at which the exact test is asked
AROUND = (0.3, 2.5)  # of the expected number of discordant rows, where they are asked
SPARE = 1  # win, where the exact test was not asked
BUCKET = 1.5  # expected numbers are told apart by this factor, so that the test is asked once


@dataclass(frozen=True)
class PairedForesight:
    """When to stop comparing.

    Attributes:
        total: N rows that would be compared in the end.
        margin: The fixed-n test asks whether student − other is above −margin.
        level: Of that test.
        delta: Probability, at most, of foreseeing what it would not have said, for either side.
    """

    total: int
    margin: float
    level: float
    delta: float = 0.01

    def __post_init__(self) -> None:
        if self.total < 1 or not 0 < self.delta < 1:
            raise DataError(
                f"{self.total} rows at δ = {self.delta:g} are nothing to foresee.",
                fix="Give at least one row and a δ between 0 and 1.",
            )

    def evidence(self, seen: Pairs) -> tuple[float, float]:
        """Return log E for passing and for not passing after some rows.

        Raises:
            DataError: There are more rows than N.
        """
        if seen.n > self.total:
            raise DataError(f"{seen.n} rows, of {self.total} in all, is no count.")
        sure, never = self._bounds(seen)
        d, won = _lattice(self.total)
        chances = _log_chances(self.total, seen, d, won)
        highest = _largest(self.total, seen, sure - 1, at_most=True)
        others = _largest(self.total, seen, never + 1, at_most=False)
        return (
            _log_mean(chances[won >= sure[d]], len(d)) - highest,
            _log_mean(chances[won <= never[d]], len(d)) - others,
        )

    def verdict(self, seen: Pairs) -> Foreseen | None:
        """Return "pass" or "not" if that is what the fixed-n test will say, None while it is open.

        After the last row it always knows. Errors as `evidence`.
        """
        if seen.n == self.total:
            return "pass" if _passes(seen, self.margin, self.level) else "not"
        passing, failing = self.evidence(seen)
        if passing >= -np.log(self.delta):
            return "pass"
        return "not" if failing >= -np.log(self.delta) else None

    def _bounds(self, seen: Pairs) -> tuple[Ints, Ints]:
        """Return for d = 0 … N discordant rows the wins from which on it surely passes, and up to
        which it surely does not.
        """
        expected = max(seen.discordant, 1) / seen.n * self.total
        bucket = round(np.log(expected) / np.log(BUCKET))
        return _staircase(self.total, self.margin, self.level, float(BUCKET**bucket))


def _passes(of: Pairs, margin: float, level: float) -> bool:
    return paired.p_value(of, -margin) <= level


@lru_cache(maxsize=64)
def _staircase(total: int, margin: float, level: float, expected: float) -> tuple[Ints, Ints]:
    low, high = (min(part * expected, total) for part in AROUND)
    asked = np.unique(np.rint(np.append(np.linspace(low, high, EXACT), [0, total])).astype(int))
    d = np.arange(total + 1)
    sure, never = d + 1, np.full(total + 1, -1)
    found = np.array([fewest_wins(total, at, margin, level) for at in asked.tolist()])
    for at, wins in zip(asked.tolist(), found.tolist(), strict=True):
        if wins <= at:  # with fewer losses and no fewer wins it passes too
            sure = np.minimum(sure, np.maximum(wins, d - (at - wins)) + SPARE)
        if wins > 0:  # with no fewer losses and fewer wins it does not either
            never = np.maximum(never, np.minimum(wins - 1, d - (at - wins + 1)) - SPARE)
    sure[asked], never[asked] = found, found - 1
    return np.asarray(sure, dtype=np.int64), np.asarray(never, dtype=np.int64)


def fewest_wins(total: int, discordant: int, margin: float, level: float) -> int:
    """Return the fewest wins that pass among so many discordant rows; one more than there are if
    none do.
    """
    from scipy.special import ndtri

    won = int(paired.critical(total, -margin, float(-ndtri(level)))[discordant])
    while won > 0 and _passes(Pairs(discordant - won + 1, won - 1, total), margin, level):
        won -= 1
    while won <= discordant and not _passes(Pairs(discordant - won, won, total), margin, level):
        won += 1
    return won


@lru_cache(maxsize=4)
def _lattice(total: int) -> tuple[Ints, Ints]:
    """Return the points of the mixture, fixed before anything is seen: d and wins."""
    d = np.unique(np.rint(np.geomspace(1, total + 1, DISCORDANT)).astype(np.int64) - 1)
    share = np.linspace(0, 1, WON)
    won = np.rint(d[:, None] * share).astype(np.int64)
    return np.repeat(d, WON), won.ravel()


@lru_cache(maxsize=4)
def _log_factorials(total: int) -> Floats:
    from scipy.special import gammaln

    return np.asarray(gammaln(np.arange(total + 1) + 1.0))


def _log_chances(total: int, seen: Pairs, d: Ints, won: Ints) -> Floats:
    """Return the log probability of one order of what was seen, by (d, won), but for a constant; −∞
    where it cannot be.
    """
    log, tied = _log_factorials(total), seen.n - seen.discordant
    lost = d - won
    left = (lost - seen.lost, won - seen.won, total - d - tied)
    possible = (left[0] >= 0) & (left[1] >= 0) & (left[2] >= 0) & (lost >= 0) & (won >= 0)
    chances = np.full(len(d), -np.inf)
    all_of = (lost, won, total - d)
    chances[possible] = sum(
        log[whole[possible]] - log[rest[possible]] for whole, rest in zip(all_of, left, strict=True)
    )
    return chances


def _largest(total: int, seen: Pairs, bound: Ints, *, at_most: bool) -> float:
    """Return the largest log chance over all (d, won) with won on one side of `bound[d]`.

    For each d the chance has one peak in won, (w d − l) / (l + w) or the next; where that is on the
    other side, the nearest point of this side is the largest.
    """
    d = np.arange(total + 1)
    peak = (seen.won * d - seen.lost) // max(seen.discordant, 1) + 1
    low, high = np.full(total + 1, seen.won), d - seen.lost
    low, high = (low, np.minimum(high, bound)) if at_most else (np.maximum(low, bound), high)
    found = _log_chances(total, seen, d, np.clip(peak, low, np.maximum(low, high)))
    inside = low <= high
    return float(found[inside].max()) if inside.any() else -np.inf


def _log_mean(chances: Floats, of: int) -> float:
    top = float(chances.max()) if len(chances) else -np.inf
    if not np.isfinite(top):
        return -np.inf
    return top + float(np.log(np.exp(chances - top).sum() / of))
