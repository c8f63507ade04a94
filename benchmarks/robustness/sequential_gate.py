"""After how many rows is a rule's verdict settled, and how often is it foreseen wrongly?

Nothing is simulated: the distribution over all orders of the rows is gone through exactly. Run it
with `python benchmarks/robustness/sequential_gate.py [--json FILE]`.
"""

import argparse
import json
from pathlib import Path

from stillhouse.evaluation.sequential import Foresight, course, least_passing

TOTAL, BOUND, ALPHA, EVERY = 1000, 0.60, 0.05, 10
GOALS = {0.70: 400, 0.50: 160, 0.80: 110}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    least = least_passing(TOTAL, BOUND, ALPHA)
    print(
        f"N = {TOTAL}, bound {BOUND}, α₁ = {ALPHA}: {least} right rows pass; a look every {EVERY}"
    )
    print(
        f"{'δ':>5} {'truly':>6} {'rows, mean':>11} {'half':>5} {'90 %':>5} {'goal':>5} {'wrong':>9}"
    )
    rows = []
    for delta in (0.05, 0.01):
        foresight = Foresight(TOTAL, least, delta)
        for share in (0.50, 0.55, 0.60, (least - 1) / TOTAL, least / TOTAL, 0.65, 0.70, 0.80):
            truly = round(share * TOTAL)
            found = course(foresight, truly, every=EVERY)
            wrong = found.fails if truly >= least else found.passes
            half, most = found.at_most
            rows.append(
                {
                    "delta": delta,
                    "truly": share,
                    "rows": found.rows,
                    "median": half,
                    "p90": most,
                    "goal": GOALS.get(share),
                    "wrong": wrong,
                }
            )
            goal = GOALS.get(share, "")
            line = f"{delta:5} {share:6.3f} {found.rows:11.0f} {half:5} {most:5}"
            print(f"{line} {goal:>5} {wrong:9.1e}")
    if asked.json:
        asked.json.write_text(json.dumps({"least": least, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
