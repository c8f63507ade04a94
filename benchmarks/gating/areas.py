"""How often does a rule about the area under the ROC curve pass a model that is at its bound?

The gate's test takes the area's logit for normal, with DeLong's variance. That is right with many
rows of the rarer class, and too sure of itself with few where the bound is near 1: a variance that
is told by the few pairs out of order is itself uncertain. Two kinds of scores with the same area:
`normal` (both classes normal, equally wide) and `skewed` (exponential: a few positives lie deep
among the negatives).

Run it with `python benchmarks/gating/areas.py [--runs 4000] [--json FILE]`.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from stillhouse.evaluation import intervals, ranking

ALPHA, NEGATIVE = 0.05, 1000
BOUNDS, POSITIVE = (0.8, 0.9, 0.97), (20, 50, 200)


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


def passes(
    kind: str, area: float, positive: int, runs: int, rng: np.random.Generator
) -> list[float]:
    """Return how often a model at the bound passes, with its interval."""
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
            for kind in ("normal", "skewed"):
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
