"""How often is a model falsely promoted over its whole life, and is a lost point found?

A life is 50 retrains, each compared with the champion on 5,000 test rows by the gate's own exact
test. Three questions, each answered with the decisions that the gate would take:

1. The students are no better than the champion, and the rule demands a gain (margin 0): in how many
   lives is any of them promoted? Beside `gate.life` the same lives are judged at α each time.
2. A student has lost one point: how often is it promoted, at which comparison of a life?
3. Someone peeks after every batch of rows: stopping where the verdict on all rows is foreseen
   changes it in at most δ of runs; stopping at the first batch that looks good promotes far more.

Run it with `python benchmarks/gating/lives.py [--lives 2000] [--json FILE]`.
"""

import argparse
import json
import platform
from functools import lru_cache
from pathlib import Path

import numpy as np

from stillhouse.evaluation import intervals, paired
from stillhouse.evaluation.paired import Pairs
from stillhouse.evaluation.sequential_pairs import PairedForesight
from stillhouse.gating.life import spent
from stillhouse.gating.matched import MatchedTest, affordable_margin, power

ROWS, RETRAINS, ALPHA, DISCORDANT = 5000, 50, 0.05, 0.04
LOSS = 0.01
PEEKED, BATCH, DELTA = 2000, 200, 0.01
NAIVE = 1.645  # normal deviate of a test at α by whoever peeks without care
HOPELESS = 1.5  # normal deviates: the exact p-value is above 0.05 there, as is checked below


@lru_cache(maxsize=200_000)
def p_value(lost: int, won: int) -> float:
    """Return the gate's p-value of "no better than the champion"."""
    pairs = Pairs(lost, won, ROWS)
    if float(paired.score(lost, won, ROWS, 0.0)) < HOPELESS:
        return 1.0
    return MatchedTest(pairs, 0.0).met


def lives(count: int, rng: np.random.Generator) -> dict[str, object]:
    """Draw lives of students that are exactly as good as the champion."""
    discordant = rng.binomial(ROWS, DISCORDANT, size=(count, RETRAINS))
    won = rng.binomial(discordant, 0.5)
    levels = np.array([spent(ALPHA, look) for look in range(1, RETRAINS + 1)])
    found = np.array(
        [
            [p_value(int(d - w), int(w)) for d, w in zip(ds, ws, strict=True)]
            for ds, ws in zip(discordant, won, strict=True)
        ]
    )
    spending, each = (found <= levels).any(axis=1), (found <= ALPHA).any(axis=1)
    return {
        "lives": count,
        "false_with_life": interval(int(spending.sum()), count),
        "false_without": interval(int(each.sum()), count),
        "alpha": ALPHA,
        "spent_in_all": float(levels.sum()),
    }


def lost_point() -> list[dict[str, object]]:
    """Return how often a student that lost a point is found, against the margin that the gate
    chooses by itself at the expected number of discordant rows: exactly, nothing is drawn.
    """
    told = []
    half = round(ROWS * DISCORDANT / 2)
    for look in (1, 10, 50):
        level = spent(ALPHA, look)
        margin = affordable_margin(Pairs(half, half, ROWS), level)
        passed = power(ROWS, DISCORDANT, margin, level, -LOSS)
        told.append({"look": look, "level": level, "margin": margin, "found": 1 - passed})
    return told


def peeking(count: int, rng: np.random.Generator) -> dict[str, object]:
    """Look after every batch and stop as soon as the verdict of the fixed test is foreseen; beside
    it who stops at the first batch that passes by itself. Students lost a point, or nothing.
    """
    told: dict[str, object] = {"runs": count, "batch": BATCH, "delta": DELTA}
    foresight = PairedForesight(PEEKED, 0.0, ALPHA, DELTA)
    for name, loss in (("no difference", 0.0), ("a point lost", LOSS)):
        changed = naive = fixed = 0
        stopped = []
        for _ in range(count):
            kind = rng.random(PEEKED)
            split = DISCORDANT / 2 * (1 + loss / DISCORDANT)
            lost, won = kind < split, (kind >= split) & (kind < DISCORDANT)
            seen = [
                Pairs(int(lost[:n].sum()), int(won[:n].sum()), n)
                for n in range(BATCH, PEEKED + 1, BATCH)
            ]
            end = MatchedTest(seen[-1], 0.0).met <= ALPHA
            first = next((s, v) for s in seen if (v := foresight.verdict(s)) is not None)
            stopped.append(first[0].n)
            changed += (first[1] == "pass") != end
            fixed += end
            naive += any(float(paired.score(s.lost, s.won, s.n, 0.0)) > NAIVE for s in seen)
        told[name] = {
            "rows_mean": float(np.mean(stopped)),
            "changed": interval(changed, count),
            "passes": interval(fixed, count),
            "naive_passes": interval(naive, count),
        }
    return told


def interval(successes: int, count: int) -> list[float]:
    return [float(value) for value in intervals.proportion(successes, count)]


def told(share: list[float]) -> str:
    low, middle, high = (100 * value for value in share)
    return f"{middle:6.2f} % [{low:.2f}, {high:.2f}]"


def check_hopeless() -> float:
    """Return the smallest exact p-value at the deviate below which none is computed."""
    found = []
    for d in (120, 160, 200, 240, 280):
        wins = next(w for w in range(d) if float(paired.score(d - w, w, ROWS, 0.0)) >= HOPELESS)
        found.append(MatchedTest(Pairs(d - wins + 1, wins - 1, ROWS), 0.0).met)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lives", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    least = check_hopeless()
    assert least > ALPHA, least
    life = lives(asked.lives, rng)
    print(f"{asked.lives} lives of {RETRAINS} retrains, {ROWS} rows, {DISCORDANT:.0%} discordant")
    print(f"  a false promotion in a life, gate.life:  {told(life['false_with_life'])}")
    print(f"  the same, α = {ALPHA} each time:           {told(life['false_without'])}")
    points = lost_point()
    for point in points:
        print(
            f"  a lost point found, comparison {point['look']:>2}:       "
            f"{100 * point['found']:6.2f} % (margin {100 * point['margin']:.2f} points)"
        )
    peek = peeking(min(asked.lives, 200), rng)
    for name in ("no difference", "a point lost"):
        case = peek[name]
        after = f"settled after {case['rows_mean']:.0f}"
        print(f"  {PEEKED} rows, peeking every {BATCH}, {name}: {after}")
        print(f"    verdicts changed by it:                {told(case['changed'])}")
        print(f"    passes, all rows:                      {told(case['passes'])}")
        print(f"    passes, first good batch (not we):     {told(case['naive_passes'])}")
    if asked.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__}
        result = {"rows": ROWS, "retrains": RETRAINS, "discordant": DISCORDANT, "life": life}
        result |= {"lost_point": points, "peeking": peek, "machine": machine, "seed": asked.seed}
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
