"""Whether a student is worse than another model on the same rows, by more than a margin: an exact
test and the bound that belongs to it.

Only rows on which exactly one of the two is right can tell them apart: `lost` (only the other is
right) and `won` (only the student is). With N rows, (lost, won) is multinomial with unknown rates;
δ = rate won − rate lost is what rules speak about, the rate of discordance ψ = rate won + rate lost
is a nuisance. Outcomes are ordered by Tango's score bound; the p-value of δ ≤ δ₀ is the largest
probability, over every ψ, of an outcome at least as good as the one observed. Nothing is
approximated downwards:

- An outcome region that holds, with each outcome, those with fewer losses or more wins has a
  probability that rises with the rate won and falls with the rate lost. So the worst δ is δ₀
  itself, and a cell [ψ₁, ψ₂] of the nuisance is bounded by *one* sum, at rates lost (ψ₁ − δ)/2 and
  won (ψ₂ + δ)/2.
- ψ is searched only where an exact interval of level 1 − γ holds it, and γ is added to the p-value
  (Berger and Boos).
- The order does not depend on δ₀, so that the p-value rises with δ₀ and the bound (the largest δ₀
  that is refused) agrees with the test at every margin.

Source:
    Tango 1998, Statistics in Medicine 17 (the score); Buehler 1957 and Lloyd and Moldovan 2007,
    Statistics in Medicine 26 (exact bounds for matched pairs from an approximate one); Berger and
    Boos 1994, JASA 89 (a nuisance searched in its interval).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError
from stillhouse.evaluation import intervals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# left out of the nuisance's interval and added to every p-value, which is therefore never smaller
GAMMA = 1e-7
CELLS = 256  # of the nuisance; more bring the bound nearer to the supremum, never below it
ORDER = (
    2.0  # normal deviate of the score bound that orders outcomes, near those of levels 0.05 … 0.01
)


@dataclass(frozen=True)
class Pairs:
    """Rows on which two models were both asked.

    Attributes:
        lost: Rows that only the other model got right.
        won: Rows that only the student got right.
        n: All rows.
    """

    lost: int
    won: int
    n: int

    def __post_init__(self) -> None:
        if self.n < 1 or self.lost < 0 or self.won < 0 or self.lost + self.won > self.n:
            raise DataError(
                f"{self.lost} lost and {self.won} won of {self.n} rows is no comparison.",
                fix="Give the split more rows, with targets.",
            )

    @property
    def discordant(self) -> int:
        """Rows that tell the two apart."""
        return self.lost + self.won

    @property
    def difference(self) -> float:
        """Accuracy of the student − accuracy of the other, as a share."""
        return (self.won - self.lost) / self.n

    @property
    def swapped(self) -> "Pairs":
        """The same rows, seen from the other model."""
        return Pairs(self.won, self.lost, self.n)


def pairs(student: NDArray[np.bool_], other: NDArray[np.bool_]) -> Pairs:
    """Return the counts of two models' outcomes, each [N], bool, on the same rows in the same
    order.

    Raises:
        DataError: They differ in length, or there are no rows.
    """
    if student.shape != other.shape:
        raise DataError(
            f"outcomes of {len(student)} and {len(other)} rows cannot be paired.",
            fix="Ask both models the same rows.",
        )
    return Pairs(int((other & ~student).sum()), int((student & ~other).sum()), len(student))


def mcnemar(lost: int, won: int) -> float:
    """Return the two-sided p-value of "both are right equally often", given how many rows are
    discordant.

    Source:
        McNemar 1947 in its exact form: min(1, 2 P(Binomial(lost + won, ½) ≥ the larger)).

    Example:
        >>> mcnemar(6, 0)
        0.03125
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(lost, won), lost + won, 0.5)))


def score(lost: Floats | float, won: Floats | float, n: int, difference: float) -> Floats:
    """Return the deviate of H0 "rate won − rate lost is `difference`", elementwise; large where the
    student is better than that.

    The variance is that of the most likely rates under H0, in closed form.

    Source:
        Tango 1998, equations 4 to 6.
    """
    b = -won - lost + (2 * n - won + lost) * difference
    c = -lost * difference * (1 - difference)
    likely_lost = (np.sqrt(np.maximum(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * likely_lost + difference * (1 - difference))
    return np.asarray((won - lost - n * difference) / np.sqrt(np.maximum(variance, 1e-300)))


def score_bound(of: Pairs, deviate: float) -> float:
    """Return the lower bound of the difference at which the score is `deviate`: approximate, good
    for ordering outcomes and as a first guess.
    """
    low, high = -1.0, of.difference
    for _ in range(60):
        middle = (low + high) / 2
        away = of.won - of.lost - of.n * middle
        b = (
            (2 * of.n - of.won + of.lost) * middle - of.won - of.lost
        )  # as in `score`, for one number, twenty times faster
        likely_lost = (
            math.sqrt(max(b * b + 8 * of.n * of.lost * middle * (1 - middle), 0.0)) - b
        ) / (4 * of.n)
        variance = of.n * (2 * likely_lost + middle * (1 - middle))
        low, high = (
            (middle, high) if away >= deviate * math.sqrt(max(variance, 0.0)) else (low, middle)
        )
    return low


def critical(n: int, difference: float, deviate: float) -> Ints:
    """Return for d = 0 … n discordant rows the fewest wins with a score of `deviate` or more
    against `difference`; d + 1 where there is none.
    """
    d = np.arange(n + 1)
    low, high = np.full(n + 1, -1), d + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        far = (
            score((d - middle).astype(np.float64), middle.astype(np.float64), n, difference)
            >= deviate
        )
        apart = high - low > 1
        high, low = np.where(apart & far, middle, high), np.where(apart & ~far, middle, low)
    return np.asarray(high, dtype=np.int64)


@lru_cache(maxsize=64)
def _region(of: Pairs) -> Ints:
    """Return for d = 0 … n discordant rows the fewest wins of an outcome at least as good as the
    observed one.

    The proof above needs a region closed under more wins and fewer losses. The score gives one but
    for its rounding; closing it can only enlarge it.
    """
    wins = critical(of.n, score_bound(of, ORDER), ORDER - 1e-7)
    d = np.arange(of.n + 1)
    wins[of.discordant] = min(wins[of.discordant], of.won)
    most_lost = np.maximum.accumulate(d - wins)
    return np.asarray(np.minimum.accumulate((d - most_lost)[::-1])[::-1], dtype=np.int64)


def mass(wins: Ints, n: int, discordance: Floats, difference: Floats) -> Floats:
    """Return the probability [K] of at least `wins[d]` wins where d rows are discordant, from above
    by less than 1e-8.

    Args:
        wins: [N + 1], by the number of discordant rows.
        n: N.
        discordance: ψ [K].
        difference: δ [K], |δ| ≤ ψ.
    """
    from scipy.special import betainc

    psi = np.clip(discordance, 1e-300, 1 - 1e-15)[:, None]
    centre, reach = n * psi, 6.5 * np.sqrt(n * psi * (1 - psi)) + 15
    first = np.clip(centre - reach, 0, n).astype(np.int64)
    d = first + np.arange(int(2 * reach.max()) + 2)
    inside, d = d <= n, np.minimum(d, n)
    weight = inside * np.exp(_log_choose(n)[d] + d * np.log(psi) + (n - d) * np.log1p(-psi))
    needed = wins[d]
    share = np.broadcast_to(np.clip((1 + difference[:, None] / psi) / 2, 0.0, 1.0), d.shape)
    reached = np.where(needed <= 0, 1.0, 0.0)
    open_ = (needed > 0) & (needed <= d) & (weight > 1e-14)
    reached[open_] = betainc(needed[open_], d[open_] - needed[open_] + 1, share[open_])
    left_out = np.maximum(1 - (weight * (weight > 1e-14)).sum(axis=1), 0.0)
    return np.asarray(np.minimum((weight * reached).sum(axis=1) + left_out, 1.0))


@lru_cache(maxsize=8)
def _log_choose(n: int) -> Floats:
    """Return log binomial(n, d) for d = 0 … n."""
    from scipy.special import gammaln

    d = np.arange(n + 1)
    return np.asarray(gammaln(n + 1) - gammaln(d + 1) - gammaln(n - d + 1))


def p_value(of: Pairs, difference: float, cells: int = CELLS) -> float:
    """Return the p-value of H0 "the student's accuracy − the other's is at most `difference`":
    small means that it is more.

    Args:
        of: The rows.
        difference: δ₀ in [−1, 1]; −margin for non-inferiority.
        cells: Of the nuisance.

    Returns:
        At least `GAMMA`; in repetitions under H0 it is at most α with a probability of at most α.

    Example:
        >>> p_value(Pairs(lost=14, won=3, n=540), -0.06) < 0.001
        True
    """
    least, most = (
        intervals.lower(of.discordant, of.n, GAMMA / 2),
        intervals.upper(of.discordant, of.n, GAMMA / 2),
    )
    if -difference > most:
        return GAMMA
    difference = min(difference, most)
    edges = np.linspace(max(least, abs(difference)) ** 0.5, most**0.5, cells + 1) ** 2
    shifted = difference + np.diff(edges) / 2
    return min(
        1.0, float(mass(_region(of), of.n, (edges[1:] + edges[:-1]) / 2, shifted).max()) + GAMMA
    )


def lower_bound(of: Pairs, alpha: float) -> float:
    """Return the one-sided lower bound of the difference: it exceeds the truth in at most `alpha`
    of repetitions.

    It is the largest δ₀ that `p_value` refuses at `alpha`, approached from below until that p-value
    is within 1 % of `alpha`. The p-value as a normal deviate is nearly a straight line in δ₀, so
    that false position needs three or four steps.
    """
    from scipy.special import ndtri

    cells = CELLS if of.n <= 2000 else CELLS // 4

    def over(difference: float) -> float:
        return float(ndtri(min(p_value(of, difference, cells), 1 - 1e-9)) - ndtri(alpha))

    guess = score_bound(of, float(-ndtri(alpha)))
    width = max(of.difference - guess, 1 / of.n)
    high, low = min(of.difference, guess + width / 8), guess - width / 8
    at_high, at_low = over(high), over(low)
    while at_high <= 0:
        low, at_low = high, at_high
        high += width / 4
        at_high = over(high)
    while at_low > 0 and low > -1:
        high, at_high = low, at_low
        low = max(low - width / 4, -1.0)
        at_low = over(low)
    for _ in range(30):
        if at_low > -0.004 or high - low < 1e-9:
            break
        middle = low + (high - low) * min(max((at_low + 0.002) / (at_low - at_high), 0.01), 0.99)
        if (there := over(middle)) <= 0:
            low, at_low = middle, there
        else:
            high, at_high = middle, there
    return max(low, -1.0)


def upper_bound(of: Pairs, alpha: float) -> float:
    """Return the one-sided upper bound of the difference: it is below the truth in at most `alpha`
    of repetitions.
    """
    return -lower_bound(of.swapped, alpha)
