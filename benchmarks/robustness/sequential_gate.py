"""After how many rows is a rule's verdict settled, how often is it foreseen wrongly, and what does
that save?

1. Nothing is simulated: the distribution over all orders of the rows is gone through exactly.
2. A plain student on digits, a rule that it fails under attack, and a suite of AutoAttack, Square
   and three corruptions: the time to the verdict with the suite and by the cheap attacks before it,
   interleaved in one process on the same rows.

Run it with `python benchmarks/robustness/sequential_gate.py [--json FILE]`.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from stillhouse.attacks.space import Space
from stillhouse.config import plugin
from stillhouse.evaluation.sequential import Foresight, course, least_passing
from stillhouse.gating.foreseen import most_failing
from stillhouse.robustness.case import make_cases
from stillhouse.robustness.probe import Bar, probe
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.suite import Suite, examine

TOTAL, BOUND, ALPHA, EVERY = 1000, 0.60, 0.05, 10
GOALS = {0.70: 400, 0.50: 160, 0.80: 110}
EPSILON, AT_LEAST, DELTA = 0.1, 0.6, 0.01
ROUNDS = 3


def table() -> dict[str, object]:
    """Print and return how many rows it takes, by what is truly right."""
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
            line = f"{delta:5} {share:6.3f} {found.rows:11.0f} {half:5} {most:5}"
            print(f"{line} {GOALS.get(share, ''):>5} {wrong:9.1e}")
    return {"least": least, "rows": rows}


def student() -> Subject:
    """Return a plain student of the digits, and the rows that it never saw."""
    from sklearn.datasets import load_digits

    told = load_digits()
    inputs = torch.tensor(told.images, dtype=torch.float32)[:, None] / 16
    targets = torch.tensor(told.target)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    train, test = order[540:], order[:540]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs[train]), targets[train]).backward()
        optimizer.step()
    net.eval()
    return Subject(net, _answer(net), inputs[test], targets[test], Space.box(), 0)


def _answer(net: nn.Module):
    def answer(rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return net(rows)

    return answer


def failing() -> dict[str, object]:
    """Time the verdict of a rule that a plain student fails."""
    subject = student()
    rows = len(subject.targets)
    specs = [
        {"name": "autoattack", "norm": "linf", "epsilon": EPSILON},
        {"name": "square", "norm": "linf", "epsilon": EPSILON},
    ]
    corruptions = {
        name: plugin("corruptions", {"name": name}, where="benchmark")
        for name in ("blur", "contrast", "noise")
    }
    suite = Suite(make_cases(specs, "benchmark"), corruptions, None, "no teacher here")
    most = most_failing(rows, AT_LEAST, ALPHA)
    bar = Bar("linf", AT_LEAST, most, DELTA)
    full, cheap = [], []
    for _ in range(ROUNDS):
        start = time.process_time()
        seen = probe(bar, suite.cases[0].ball, subject, lambda *_: None)
        cheap.append(time.process_time() - start)
        start = time.process_time()
        found = examine(subject, suite, lambda *_: None)
        full.append(time.process_time() - start)
    right = int((found.results[0].still & found.results[1].still).sum())
    assert seen.fails
    assert right <= most, "the suite must come to the verdict that was foreseen"
    share = statistics.median(cheap) / statistics.median(full)
    print(
        f"plain student, {rows} rows, ε = {EPSILON}: the suite leaves {right} right (it fails at "
        f"{most}); {statistics.median(full):.2f} s of CPU"
    )
    print(
        f"  foreseen after {len(seen.order)} rows in {statistics.median(cheap):.3f} s: "
        f"{share:.2%} of the suite's time"
    )
    return {
        "rows": rows,
        "bound": AT_LEAST,
        "right": right,
        "most": most,
        "seen": len(seen.order),
        "suite_cpu_s": full,
        "probe_cpu_s": cheap,
        "share": share,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    told = {**table(), "failing": failing()}
    if asked.json:
        told["machine"] = {"python": platform.python_version(), "torch": torch.__version__}
        asked.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
