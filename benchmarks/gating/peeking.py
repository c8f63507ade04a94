"""What does it change to look at a gate after every row, and to stop as soon as it is settled?

Nothing is simulated: the distribution over all orders of the rows is gone through exactly, for each
of the N + 1 numbers of truly right rows, and for each number of rows that a student lost and won
against another model, up to the number of discordant rows that is said.

Run it with `python benchmarks/gating/peeking.py [--json FILE]`.
"""

import argparse
import json
import platform
import time
from pathlib import Path

from stillhouse.evaluation import peeking_pairs
from stillhouse.evaluation.sequential import Foresight, least_passing, peeking
from stillhouse.evaluation.sequential_pairs import PairedForesight

BOUND, ALPHA, DELTA = 0.60, 0.05, 0.01
TOTALS, LOOKS = (200, 574, 1000), (1, 10, 32)
# rows, margin, a look every, most discordant rows
PAIRED = ((60, 0.05, 1, 20), (200, 0.03, 10, 40), (574, 0.02, 32, 40))


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
    told = {"bound": BOUND, "alpha": ALPHA, "delta": DELTA, "table": found, "paired": paired()}
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1) + "\n")


def paired() -> list[dict[str, object]]:
    """Print and return the same of comparisons with another model."""
    head = f"{'rows':>5} {'margin':>7} {'a look every':>12} {'discordant':>10}"
    print(f"{head} {'changed, at most':>17} {'passes':>8} {'fixed-n':>8}")
    found = []
    for delta in (0.05, DELTA):
        for total, margin, every, most in PAIRED:
            foresight = PairedForesight(total, margin, ALPHA, delta)
            one = peeking_pairs.peeking(foresight, every=every, most=most)
            line = f"{total:>5} {margin:>7} {every:>12} {most:>10} {one.changed:>16.3%}"
            print(
                f"{line} {one.passes:>8.3%} {one.fixed:>8.3%}  δ = {delta}, at {one.at}", flush=True
            )
            found.append(
                {"rows": total, "margin": margin, "every": every, "delta": delta, **vars(one)}
            )
    return found


if __name__ == "__main__":
    main()
