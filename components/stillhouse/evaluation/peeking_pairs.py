"""What it changes to look early at a paired test, exactly: how often the verdict that
`sequential_pairs` foresees is not that of the test on all rows.

Rows come in random order, so whatever L and W are, the last of n rows is any of them alike. The
part of the orders of l losses and w wins among n rows that comes as far without a verdict therefore
does not depend on L and W:

    open(n, l, w) = (l open(n − 1, l − 1, w) + w open(n − 1, l, w − 1) + t open(n − 1, l, w)) / n

with t = n − l − w, and 0 from where a look has settled it. One walk over (n, l, w) serves them all:
the probability of a verdict is the sum over the places where it falls, of the part that comes there
× the probability of (l, w) among n rows: multivariate hypergeometric where L and W are known,
trinomial where rows are drawn from a population.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.evaluation.paired import Pairs
from stillhouse.evaluation.sequential_pairs import PairedForesight, fewest_wins

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RARE = 1e-3


@dataclass(frozen=True)
class Settled:
    """Where verdicts fall; S places.

    Attributes:
        total: N.
        seen: Rows looked at, [S].
        lost: Of these, [S].
        won: Of these, [S].
        part: Which part of the orders of just these rows comes there, [S].
        passes: Whether the verdict is "pass" there, bool [S].
    """

    total: int
    seen: Ints
    lost: Ints
    won: Ints
    part: Floats
    passes: Bools

    def among(self, lost: int, won: int) -> tuple[float, float]:
        """Return how often it says "pass" and "not" where L = `lost` and W = `won` of the N rows,
        over all orders of them.
        """
        told, counts = _log_factorials(self.total), (self.lost, self.won, self.seen - self.lost)
        drawn = (*counts[:2], counts[2] - self.won)
        left = [of - part for of, part in zip(_kinds(lost, won, self.total), drawn, strict=True)]
        inside = np.logical_and.reduce([rest >= 0 for rest in left])
        log = told[self.seen[inside]] + told[self.total - self.seen[inside]] - told[self.total]
        for of, part, rest in zip(_kinds(lost, won, self.total), drawn, left, strict=True):
            log = log + told[of] - told[part[inside]] - told[rest[inside]]
        return self._summed(np.exp(log), inside)

    def drawn(self, rate_lost: float, rate_won: float) -> tuple[float, float]:
        """Return how often it says "pass" and "not" over all rows drawn from a population."""
        told, tied = _log_factorials(self.total), self.seen - self.lost - self.won
        rates = np.log(np.maximum([rate_lost, rate_won, 1 - rate_lost - rate_won], 1e-300))
        log = told[self.seen] + sum(
            part * rate - told[part]
            for part, rate in zip((self.lost, self.won, tied), rates, strict=True)
        )
        return self._summed(np.exp(log), np.ones(len(self.seen), dtype=bool))

    def _summed(self, chances: Floats, inside: Bools) -> tuple[float, float]:
        weights, passes = chances * self.part[inside], self.passes[inside]
        return float(weights[passes].sum()), float(weights[~passes].sum())


def settled(foresight: PairedForesight, looks: Sequence[int], most: int) -> Settled:
    """Return where the verdicts fall of whoever looks after `looks` rows, the last of them all N.

    Args:
        foresight: The rule.
        looks: Ascending.
        most: Discordant rows that are followed; of sets with more of them nothing is known.
    """
    lost, won = np.indices((most + 1, most + 1))
    open_ = np.zeros((most + 1, most + 1))
    open_[0, 0] = 1.0
    found: list[tuple[int, int, int, float, bool]] = []
    for seen in range(1, foresight.total + 1):
        stepped = open_ * np.maximum(seen - lost - won, 0)
        stepped[1:] += (open_ * (lost + 1))[:-1]
        stepped[:, 1:] += (open_ * (won + 1))[:, :-1]
        open_ = np.where(lost + won <= min(most, seen), stepped / seen, 0.0)
        for down, up in np.argwhere(open_ > 0).tolist() if seen in looks else []:
            verdict = foresight.verdict(Pairs(down, up, seen))
            if verdict is not None:
                found.append((seen, down, up, float(open_[down, up]), verdict == "pass"))
                open_[down, up] = 0.0
    columns = [np.array(column) for column in zip(*found, strict=True)]
    return Settled(foresight.total, *columns)


@dataclass(frozen=True)
class PairedPeeking:
    """How much looking early changes, at worst.

    Attributes:
        changed: The probability that the verdict is not that of the test on all rows, the largest
            over all numbers of lost and won rows with at most `most` discordant ones.
        at: That set: (lost, won).
        passes: The probability that a population exactly at the margin passes, the largest over the
            rates of discordant rows that were asked, as far as more than `most` of them come up in
            one set of 1,000; such a set counts as passed.
        fixed: The same of the test on all rows.
        most: Discordant rows.
    """

    changed: float
    at: tuple[int, int]
    passes: float
    fixed: float
    most: int


def peeking(
    foresight: PairedForesight, *, every: int = 1, most: int | None = None, rates: int = 49
) -> PairedPeeking:
    """Return what looking after every so many rows changes, exactly.

    Args:
        foresight: The rule.
        every: Rows between two looks.
        most: Discordant rows up to which every set is gone through; None: all N.
        rates: Of discordance, evenly spaced, at which a population at the margin is asked.

    Example:
        >>> peeking(PairedForesight(6, 0.5, 0.2, 0.1)).changed <= 0.1
        True
    """
    total = foresight.total
    most = total if most is None else min(most, total)
    looks = [*range(every, total, every), total]
    early, end = settled(foresight, looks, most), settled(foresight, [total], most)
    worst, at = -1.0, (0, 0)
    for d in range(most + 1):
        fewest = fewest_wins(total, d, foresight.margin, foresight.level)
        for won in range(d + 1):
            passes, fails = early.among(d - won, won)
            changed = fails if won >= fewest else passes
            worst, at = max((worst, at), (changed, (d - won, won)))
    asked = [
        of
        for of in _at_margin(foresight.margin, rates, most / total)
        if _followed(total, most, sum(of))
    ]
    pairs = [(passed(early, of), passed(end, of)) for of in asked]
    return PairedPeeking(
        worst,
        at,
        max((one for one, _ in pairs), default=1.0),
        max((one for _, one in pairs), default=1.0),
        most,
    )


def passed(of: Settled, rates: tuple[float, float]) -> float:
    """Return how often it passes over all rows drawn from a population, from above: what was not
    followed counts as passed.
    """
    passes, fails = of.drawn(*rates)
    return passes + max(0.0, 1 - passes - fails)


def _at_margin(margin: float, count: int, largest: float) -> list[tuple[float, float]]:
    """Return (rate lost, rate won) with won − lost = −margin, up to a rate of both."""
    lowest = max(abs(margin), 1e-6)
    return [
        ((psi + margin) / 2, (psi - margin) / 2)
        for psi in np.linspace(lowest, max(largest, lowest), count + 1)[:-1].tolist()
    ]


def _followed(total: int, most: int, rate: float) -> bool:
    from scipy.special import bdtrc

    return most >= total or float(bdtrc(most, total, rate)) <= RARE


def _kinds(lost: int, won: int, total: int) -> tuple[int, int, int]:
    return lost, won, total - lost - won


def _log_factorials(total: int) -> Floats:
    from scipy.special import gammaln

    return np.asarray(gammaln(np.arange(total + 1) + 1.0))
