"""What does it change to look at a gate after every row, and to stop as soon as it is settled?

Nothing is simulated: the distribution over all orders of the rows is gone through exactly, for each
of the N + 1 numbers of truly right rows.

Run it with `python benchmarks/gating/peeking.py [--json FILE]`.
"""

import argparse
import json
import platform
import time
from pathlib import Path

from stillhouse.evaluation.sequential import Foresight, least_passing, peeking

BOUND, ALPHA, DELTA = 0.60, 0.05, 0.01
TOTALS, LOOKS = (200, 574, 1000), (1, 10, 32)


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    print(f"bound {BOUND}, α₁ = {ALPHA}, δ = {DELTA}; python {platform.python_version()}")
    print(f"{'rows':>5} {'a look every':>12} {'changed, at most':>17} {'passes':>8} {'fixed-n':>8}")
    found = []
    for total in TOTALS:
        foresight = Foresight(total, least_passing(total, BOUND, ALPHA), DELTA)
        for every in (*LOOKS, total):
            began = time.process_time()
            one = peeking(foresight, BOUND, every=every)
            print(
                f"{total:>5} {every:>12} {one.changed:>16.3%} {one.passes:>8.3%} {one.fixed:>8.3%}"
                f"  ({time.process_time() - began:.1f} s)"
            )
            found.append({"rows": total, "every": every, **vars(one)})
            if asked.json:
                told = {"bound": BOUND, "alpha": ALPHA, "delta": DELTA, "table": found}
                asked.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
