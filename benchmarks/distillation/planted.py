"""Is a useless teacher exposed, and an informative one found? Digits 8 × 8, 100 labelled and 100
unlabelled rows; every run draws other rows, and every teacher of a run meets the same ones.

Planted are teachers that know nothing of a row: noise, one constant answer, the share of each class
among the labels, and a real teacher's answers given to other rows at random. Beside them stands the
real one. A teacher is called helpful where the receipt's own gain over labels alone has an interval
above zero, exposed where it has not: the same `two_way`, arms, seeds and rows as in a receipt.

    python benchmarks/distillation/planted.py --runs 100 --out planted.json
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from quality_sets import digits
from torch import Tensor

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.distillation import arms
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.gain import two_way
from stillhouse.evaluation.intervals import proportion
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import fit

SECTION = {
    "student": {"name": "mlp", "width": 16, "depth": 1},
    "optimizer": {"name": "adamw", "lr": 0.02},
    "batch": 200,
    "method": {"name": "kd", "temperature": 4.0},
}
USELESS = ("noise", "constant", "prior", "shuffled")
TEACHERS = (*USELESS, "real")


def answers(kind: str, told: Tensor, picked: Dataset, seed: int) -> Tensor:
    """What a planted teacher says of the picked rows, logits [N, C].

    Args:
        kind: One of `TEACHERS`.
        told: The real teacher's.
        picked: The rows.
        seed: Of what is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "noise":
        return 4 * torch.randn(told.shape, generator=generator)
    if kind == "constant":
        return (4 * torch.randn(told.shape[1], generator=generator)).expand_as(told).clone()
    if kind == "prior":
        known = picked.labelled.targets
        share = torch.bincount(known, minlength=told.shape[1]).add(1).double()
        return (share / share.sum()).log().float().expand_as(told).clone()
    if kind == "shuffled":
        return told[torch.randperm(len(told), generator=generator)]
    return told


def right(arm: str, told: Tensor, picked: Dataset, test: Dataset, how: Mapping[str, Any]) -> Tensor:
    """Return whether each seed's student is right about each test row, [S, N]."""
    section = {**arms.section_of(arm, SECTION), "epochs": how["epochs"]}
    rows = arms.rows_of(arm, picked)
    found = []
    for seed in range(how["seeds"]):
        normalize = Normalize.fit(rows.inputs, rows.schema)
        model = build_classifier(SECTION["student"], rows.schema, normalize, seed, "student")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loss = arms.objective(arm, section, told)
        budget = arms.fit_settings(section, len(picked), seed)
        trained = fit(model, loss, rows, test.take(torch.arange(0)), budget).model
        found.append(metrics.correct(logits_of(trained, test.inputs), test.targets))
    return torch.stack(found)


def run(number: int, how: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return each teacher's gain over labels alone, in points, with its interval."""
    given = digits(number)
    none = right("none", given.answers, given.picked, given.test, how)
    found = {}
    for kind in TEACHERS:
        told = answers(kind, given.answers, given.picked, number)
        gain = two_way(right("student", told, given.picked, given.test, how), none)
        found[kind] = {name: 100 * value for name, value in gain._asdict().items()}
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--runs", type=int, default=100)
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--epochs", type=int, default=150)
    asked.add_argument("--out", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    how, began = {"seeds": args.seeds, "epochs": args.epochs}, time.process_time()
    runs = []
    for number in range(args.runs):
        runs.append(run(number, how))
        told = ", ".join(f"{kind} {runs[-1][kind]['estimate']:+.1f}" for kind in TEACHERS)
        print(f"run {number}: {told}", flush=True)
    table = []
    print("\n| teacher | called helpful | share, % | mean gain, points |\n|---|---|---|---|")
    for kind in TEACHERS:
        helpful = sum(one[kind]["low"] > 0 for one in runs)
        low, share, high = (100 * v for v in proportion(helpful, len(runs)))
        mean = sum(one[kind]["estimate"] for one in runs) / len(runs)
        print(
            f"| {kind} | {helpful} of {len(runs)} | {share:.0f} [{low:.1f}, {high:.1f}] | "
            f"{mean:+.2f} |"
        )
        table.append({"teacher": kind, "helpful": helpful, "runs": len(runs), "mean_gain": mean})
    if args.out:
        about = {**how, "section": SECTION, "cpu_seconds": round(time.process_time() - began, 1)}
        text = json.dumps({"about": about, "table": table, "runs": runs}, indent=1, sort_keys=True)
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
