"""Is a useless teacher exposed, and an informative one found? Digits 8 × 8, 100 labelled and 100
unlabelled rows; every run draws other rows, and every teacher of a run meets the same ones.

Planted are teachers that know nothing of a row: noise, one constant answer, the share of each class
among the labels, and a real teacher's answers given to other rows at random. Beside them stands the
real one; all students of a run are trained in one loop. A teacher is called helpful where a receipt
would keep it (the gain over labels alone and what it knows of a row both lie above zero, by the
same functions), exposed where not. `--supervised` is the share of the labels: at a large one a
useless teacher does little harm, and could pass for a regulariser.

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
from stillhouse.errors import TrainingFailed
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.gain import two_way
from stillhouse.evaluation.intervals import proportion
from stillhouse.evaluation.knowing import knowing
from stillhouse.models.normalize import Normalize
from stillhouse.receipt.advice import helped
from stillhouse.training.fleet import Member, fit_together

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


def members(arm: str, told: Tensor, picked: Dataset, how: Mapping[str, Any]) -> list[Member]:
    """Return an arm before its first step, a model a seed."""
    wanted = {**SECTION, "supervised": how["supervised"], "epochs": how["epochs"]}
    section = arms.section_of(arm, wanted)
    rows = arms.rows_of(arm, picked)
    normalize = Normalize.fit(rows.inputs, rows.schema)
    found = []
    for seed in range(how["seeds"]):
        model = build_classifier(SECTION["student"], rows.schema, normalize, seed, "student")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loss = arms.objective(arm, section, told, rows=len(picked))
        found.append(Member(model, loss, arms.fit_settings(section, len(picked), seed)))
    return found


def right(together: list[Member], rows: Dataset, test: Dataset) -> Tensor:
    """Train models in one loop, and return whether each is right about each test row, [S, N]."""
    found = []
    for fitted in fit_together(together, rows, test.take(torch.arange(0))):
        if isinstance(fitted, TrainingFailed):
            raise fitted
        found.append(metrics.correct(logits_of(fitted.model, test.inputs), test.targets))
    return torch.stack(found)


def run(number: int, how: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return each teacher's gain over labels alone, in points, with its interval."""
    given, seeds = digits(number, epochs=15), how["seeds"]
    alone = members("none", given.answers, given.picked, how)
    none = right(alone, arms.rows_of("none", given.picked), given.test)
    taught = [
        member
        for kind in TEACHERS
        for member in members(
            "student", answers(kind, given.answers, given.picked, number), given.picked, how
        )
    ]
    every = right(taught, given.picked, given.test)
    found = {}
    for at, kind in enumerate(TEACHERS):
        gain = two_way(every[at * seeds : (at + 1) * seeds], none)
        told = answers(kind, given.told, given.picked, number + 1)
        found[kind] = {name: 100 * value for name, value in gain._asdict().items()}
        found[kind]["helpful"] = helped(gain, knowing(told, given.test.targets))
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--runs", type=int, default=100)
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--epochs", type=int, default=150)
    asked.add_argument("--supervised", type=float, nargs="*", default=[0.1, 0.9])
    asked.add_argument("--out", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    tables = {}
    if args.out and args.out.is_file():
        tables = {held["supervised"]: held for held in json.loads(args.out.read_text())["tables"]}
    for supervised in args.supervised:
        how = {"seeds": args.seeds, "epochs": args.epochs, "supervised": supervised}
        held = tables.setdefault(supervised, {**how, "runs": [], "cpu_seconds": 0.0})
        if any(held[name] != value for name, value in how.items()):
            raise SystemExit(f"{args.out} holds runs with other settings")
        for number in range(len(held["runs"]), args.runs):
            began = time.process_time()
            held["runs"].append(run(number, how))
            held["cpu_seconds"] = round(held["cpu_seconds"] + time.process_time() - began, 1)
            told = held["runs"][-1]
            line = ", ".join(f"{kind} {told[kind]['estimate']:+.1f}" for kind in TEACHERS)
            print(f"labels {supervised:g}, run {number}: {line}", flush=True)
            if args.out:
                write(args.out, [tables[share] for share in sorted(tables)])
    print(markdown([tables[share] for share in sorted(tables)]))


def write(path: Path, tables: list[dict[str, Any]]) -> None:
    """After every run, so that one cut short is taken up there."""
    about = {"section": SECTION, "torch": torch.__version__}
    rows = [{**held, "rows": counted(held["runs"])} for held in tables]
    text = json.dumps({"about": about, "tables": rows}, indent=1, sort_keys=True)
    path.write_text(text + "\n")


def counted(runs: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Return how often each teacher was called helpful, with the exact interval in per cent."""
    rows = []
    for kind in TEACHERS:
        helpful, gained = (sum(one[kind][key] > 0 for one in runs) for key in ("helpful", "low"))
        mean = sum(one[kind]["estimate"] for one in runs) / len(runs)
        rows.append(
            {
                "teacher": kind,
                "helpful": helpful,
                "gained": gained,
                "of": len(runs),
                "share": [100 * value for value in proportion(helpful, len(runs))],
                "mean_gain": mean,
            }
        )
    return rows


def markdown(tables: list[dict[str, Any]]) -> str:
    """Return the table of the docs."""
    lines = [
        "| share of the labels | teacher | called helpful | share, % | mean gain, points |",
        "| --- | --- | --- | --- | --- |",
    ]
    for held in tables:
        for row in counted(held["runs"]):
            low, share, high = row["share"]
            lines.append(
                f"| {held['supervised']:g} | {row['teacher']} | {row['helpful']} of {row['of']} | "
                f"{share:.0f} [{low:.1f}, {high:.1f}] | {row['mean_gain']:+.2f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
