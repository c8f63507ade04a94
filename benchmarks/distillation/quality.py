"""Which method teaches a small student best from few labels? Digits 8 × 8, 100 labelled and 100
unlabelled rows, a teacher that learned from all.

For each split of the data and each method, a setting is picked from a short list by its accuracy on
val, with a seed of its own; then the student is trained from several other seeds and judged on
test, which nobody looked at before. Prints a table, and writes JSON where `--out` says.

    python benchmarks/distillation/quality.py --splits 5 --seeds 3 --out quality.json
"""

import argparse
import json
import math
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy import stats
from sklearn.datasets import load_digits

from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.distillation import arms
from stillhouse.distillation.live import Pair
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.objective import Labels

SCHEMA = Schema("image", (1, 8, 8), tuple(map(str, range(10))), (Feature("ink", low=0, high=1),))
STUDENT = {"name": "mlp", "width": 32, "depth": 2}
TEACHER = {"name": "mlp", "width": 256, "depth": 2}
PICKING = 1_000_003  # a seed that is not judged
LABELLED, UNLABELLED = 10, 100  # a class, and in all
TEMPERATURES = (2.0, 4.0, 8.0)


def beside_kd(part: dict[str, Any], *weights: float) -> list[dict[str, Any]]:
    """A combine of kd and a part, at each of the weights."""
    return [
        {"name": "combine", "parts": [{"name": "kd"}, {**part, "weight": weight}]}
        for weight in weights
    ]


CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "none": [{"name": "ce"}],
    "hard": [{"name": "ce"}],
    "smooth": [{"name": "ce"}],
    "shuffled": [{"name": "kd", "temperature": t} for t in TEMPERATURES],
    "kd": [{"name": "kd", "temperature": t} for t in TEMPERATURES],
    "kd, z-scores": [
        {"name": "kd", "temperature": t, "standardize": True} for t in (1.0, 2.0, 4.0)
    ],
    "dkd": [{"name": "dkd", "beta": b} for b in (1.0, 4.0, 8.0)],
    "dist": [{"name": "dist", "temperature": t} for t in (1.0, 2.0, 4.0)],
    "wttm": [{"name": "wttm", "temperature": t} for t in (1.25, 2.0, 4.0)],
    "focal": [{"name": "focal", "beta": b} for b in (1.0, 5.0, 20.0)],
    "kd + rkd": beside_kd({"name": "rkd"}, 0.01, 0.1, 1.0),
    "kd + rkd, penultimate": beside_kd({"name": "rkd", "layer": "penultimate"}, 0.01, 0.1, 1.0),
    "kd + fitnet": beside_kd({"name": "fitnet", "layer": "penultimate"}, 0.01, 0.1, 1.0),
    "kd + srd": beside_kd({"name": "srd"}, 0.03, 0.3, 3.0),
    "srd": [{"name": "srd", "power": p} for p in (1.0, 2.0, 4.0)],
}


@dataclass(frozen=True)
class Split:
    """One division of the data, with its teacher."""

    picked: Dataset
    val: Dataset
    test: Dataset
    teacher: Classifier
    answers: torch.Tensor


def split(seed: int) -> Split:
    found = load_digits()
    inputs, targets = (
        torch.tensor(found.images, dtype=torch.float32)[:, None] / 16,
        torch.tensor(found.target),
    )
    full = Dataset(inputs, targets, SCHEMA, torch.arange(len(targets)))
    order = torch.randperm(len(full), generator=torch.Generator().manual_seed(seed))
    cut = int(0.3 * len(full)), int(0.4 * len(full))
    test, val, train = (
        full.take(order[: cut[0]]),
        full.take(order[cut[0] : cut[1]]),
        full.take(order[cut[1] :]),
    )
    labelled = torch.cat(
        [torch.nonzero(train.targets == code).flatten()[:LABELLED] for code in range(10)]
    )
    rest = torch.tensor(sorted(set(range(len(train))) - set(labelled.tolist())))[:UNLABELLED]
    at = torch.cat([labelled, rest])
    known = torch.where(torch.arange(len(at)) < len(labelled), train.targets[at], -1)
    picked = Dataset(train.inputs[at], known, SCHEMA, train.rows[at])
    teacher = build_classifier(TEACHER, SCHEMA, Normalize.fit(train.inputs, SCHEMA), 0, "teacher")
    fit(teacher, Labels(), train, val, FitSettings(epochs=60))
    teacher.requires_grad_(False)
    return Split(picked, val, test, teacher, logits_of(teacher, picked.inputs))


def trained(given: Split, arm: str, method: dict[str, Any], seed: int, epochs: int) -> Classifier:
    section = arms.section_of(arm, {"student": STUDENT, "method": method, "epochs": epochs})
    rows = arms.rows_of(arm, given.picked)
    model = build_classifier(STUDENT, SCHEMA, Normalize.fit(rows.inputs, SCHEMA), seed, "student")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss = arms.objective(
            arm, section, given.answers, pair=Pair(model, given.teacher, rows.inputs)
        )
    return fit(
        model, loss, rows, given.val, arms.fit_settings(section, len(given.picked), seed)
    ).model


def accuracy(model: torch.nn.Module, rows: Dataset) -> float:
    return 100 * metrics.accuracy(logits_of(model, rows.inputs), rows.targets)


def judged(given: Split, name: str, seeds: int, epochs: int) -> tuple[list[float], dict[str, Any]]:
    arm = name if name in ("none", "hard", "smooth", "shuffled") else "student"
    methods = CANDIDATES[name]
    scores = [
        accuracy(trained(given, arm, method, PICKING, epochs), given.val)
        if len(methods) > 1
        else 0.0
        for method in methods
    ]
    chosen = methods[scores.index(max(scores))]
    return [
        accuracy(trained(given, arm, chosen, seed, epochs), given.test) for seed in range(seeds)
    ], chosen


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean with the 95 % interval of Student's t over splits; test sets of different splits share
    rows, so it is a little too narrow.
    """
    mean = statistics.fmean(values)
    half = (
        float(stats.t.ppf(0.975, len(values) - 1))
        * statistics.stdev(values)
        / math.sqrt(len(values))
        if len(values) > 1
        else math.inf
    )
    return mean - half, mean, mean + half


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--splits", type=int, default=5)
    asked.add_argument("--first", type=int, default=0, help="number of the first split")
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--epochs", type=int, default=400)
    asked.add_argument("--methods", nargs="*", default=list(CANDIDATES))
    asked.add_argument("--out", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {name: [] for name in ("teacher", *args.methods)}
    picks: dict[str, list[dict[str, Any]]] = {name: [] for name in args.methods}
    for number in range(args.first, args.first + args.splits):
        given = split(number)
        found["teacher"].append(accuracy(given.teacher, given.test))
        for name in args.methods:
            scores, chosen = judged(given, name, args.seeds, args.epochs)
            found[name].append(statistics.fmean(scores))
            picks[name].append(chosen)
            print(f"split {number}, {name}: {found[name][-1]:.2f}", flush=True)
    table = report(found, picks)
    student = build_classifier(STUDENT, SCHEMA, Normalize.empty(SCHEMA), 0, "student")
    about = {
        **vars(args),
        "out": None,
        "teacher": TEACHER,
        "student": STUDENT,
        "parameters": [parameters(given.teacher), parameters(student)],
    }
    versions = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    if args.out:
        args.out.write_text(
            json.dumps(
                {"about": about, "versions": versions, "rows": table}, indent=1, sort_keys=True
            )
        )
    print(
        f"\n{args.splits} splits × {args.seeds} seeds, {args.epochs} epochs, "
        f"{about['parameters'][1]} weights of {about['parameters'][0]}; {versions}"
    )


def report(
    found: dict[str, list[float]], picks: dict[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    table = []
    print("\n| method | test accuracy, % | over kd, points | settings picked |\n|---|---|---|---|")
    for name, scores in sorted(found.items(), key=lambda entry: -statistics.fmean(entry[1])):
        over = (
            interval([a - b for a, b in zip(scores, found["kd"], strict=True)])
            if "kd" in found and name not in ("kd", "teacher")
            else None
        )
        low, mean, high = interval(scores)
        told = f"{over[1]:+.2f} [{over[0]:+.2f}, {over[2]:+.2f}]" if over else ""
        chosen = (
            sorted({json.dumps(pick) for pick in picks.get(name, [])})
            if len(CANDIDATES.get(name, [])) > 1
            else []
        )
        print(f"| {name} | {mean:.2f} [{low:.2f}, {high:.2f}] | {told} | {len(chosen) or ''} |")
        table.append(
            {
                "method": name,
                "accuracy": [low, mean, high],
                "over_kd": over,
                "by_split": scores,
                "picked": picks.get(name, []),
            }
        )
    return table


if __name__ == "__main__":
    main()
