"""How often does a rule about the area under the ROC curve pass a model that is at its bound, or
one that is worse than another by exactly the margin?

The gate's test takes the larger of two p-values, by DeLong's variance and by the one that the area
has at the bound. Two kinds of scores with the same area: `normal` (both classes normal, equally
wide) and `skewed` (exponential: a few positives lie deep among the negatives). Two models' scores
are normal and correlated.

Run it with `python benchmarks/gating/areas.py [--runs 4000] [--json FILE]`.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from stillhouse.evaluation import intervals, ranking
from stillhouse.evaluation.ranking import Ranking
from stillhouse.gating.ranked import AreaDifferenceTest

ALPHA, NEGATIVE = 0.05, 1000
BOUNDS, POSITIVE = (0.8, 0.9, 0.97), (20, 50, 200)
MARGINS = {0.8: 0.05, 0.9: 0.03, 0.97: 0.02}  # by the area of the better model
ALIKE = 0.9  # correlation of two models' scores within a class


def drawn(kind: str, area: float, positive: int, rng: np.random.Generator) -> ranking.Ranking:
    """Return the ranking of rows drawn where the population's area is `area`."""
    from scipy.special import ndtri

    if kind == "normal":
        high = rng.normal(size=positive) + 2**0.5 * float(ndtri(area))
        low = rng.normal(size=NEGATIVE)
    else:  # of two exponentials the one k times as wide is the larger with probability k / (1 + k)
        high = area / (1 - area) * rng.exponential(size=positive)
        low = rng.exponential(size=NEGATIVE)
    return ranking.ranking([np.r_[high, low]], np.arange(positive + NEGATIVE) < positive)


def compared(area: float, margin: float, positive: int, rng: np.random.Generator) -> Ranking:
    """Return the ranking by two models of which the first is worse by the margin."""
    from scipy.special import ndtri

    rows = np.arange(positive + NEGATIVE) < positive
    shared = rng.normal(size=len(rows))
    scores = [
        ALIKE**0.5 * shared
        + (1 - ALIKE) ** 0.5 * rng.normal(size=len(rows))
        + 2**0.5 * float(ndtri(own)) * rows
        for own in (area - margin, area)
    ]
    return ranking.ranking(scores, rows)


def passes(
    kind: str, area: float, positive: int, runs: int, rng: np.random.Generator
) -> list[float]:
    """Return how often a model at the bound passes, with its interval."""
    if kind == "two models":
        margin = MARGINS[area]
        found = sum(
            AreaDifferenceTest(compared(area, margin, positive, rng), margin, 0).met <= ALPHA
            for _ in range(runs)
        )
    else:
        found = sum(
            ranking.p_above(drawn(kind, area, positive, rng), area) <= ALPHA for _ in range(runs)
        )
    return [float(value) for value in intervals.proportion(found, runs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    told = []
    print(f"passes at α = {ALPHA} of a model exactly at the bound, {asked.runs} runs each")
    for area in BOUNDS:
        for positive in POSITIVE:
            for kind in ("normal", "skewed", "two models"):
                low, share, high = passes(kind, area, positive, asked.runs, rng)
                told.append(
                    {"bound": area, "positive": positive, "scores": kind}
                    | {"passes": [low, share, high]}
                )
                print(
                    f"  bound {area:.2f}, {positive:>3} positive rows, {kind}: "
                    f"{100 * share:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
                )
    if asked.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__}
        result = {"alpha": ALPHA, "negative": NEGATIVE, "runs": asked.runs, "seed": asked.seed}
        asked.json.write_text(
            json.dumps({**result, "found": told, "machine": machine}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
