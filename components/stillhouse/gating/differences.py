"""A difference of two models' errors on the same rows, by resampling them; approximate, unlike the
test of shares in `matched`.
"""

from dataclasses import dataclass

from stillhouse.gating.matched import POWER
from stillhouse.gating.resampled import ResampledTest


@dataclass(frozen=True)
class DifferenceTest(ResampledTest):
    """Whether the student's error − the other's is at most the bound in the population."""

    def power(self, level: float) -> float:  # type: ignore[override]
        """Return how often a student that errs as much as the other would pass, if differences
        spread as they do here: their resamples are taken for normal.
        """
        from scipy.special import ndtr, ndtri

        spread = float(self.of.draws.std())
        if spread == 0:
            return 1.0 if self.bound >= 0 else 0.0
        return float(ndtr(self.bound / spread + ndtri(level)))


def affordable(spread: float, level: float) -> float:
    """Return the smallest bound at which an equal student passes in 80 % of such test sets.

    Args:
        spread: The standard deviation of the resampled difference.
        level: At which the rule is judged.
    """
    from scipy.special import ndtri

    return spread * float(ndtri(POWER) - ndtri(level))
