"""Which method teaches a small student best? Six sets, few labels in all but one, teachers that
know more.

For each division of a set and each method, a setting is picked from a short list by its accuracy on
val, with a seed of its own; then the student is trained from other seeds and judged on test, which
nobody looked at before. All methods of a division are run one after another on the same rows.
Prints a table, and writes JSON where `--out` says, after each method of each division.

    python benchmarks/distillation/quality.py digits --divisions 5 --seeds 2 --out quality.json
"""

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from quality_sets import SETS, Division, Problem
from scipy import stats
from together import trained

from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data.dataset import Dataset
from stillhouse.distillation import arms
from stillhouse.distillation.live import Pair
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fleet import Member

PICKING = 1_000_003  # a seed that is not judged
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
CONTROLS = ("none", "hard", "smooth", "shuffled")
Specs = list[dict[str, Any]]
Found = dict[str, dict[str, dict[str, Any]]]
"""By method and division: accuracy on test, and the setting that was picked."""


def beside_kd(part: dict[str, Any], *weights: float) -> Specs:
    """A combine of kd and a part, at each of the weights, and at two temperatures."""
    return [
        {"name": "combine", "parts": [{"name": "kd", "temperature": t}, {**part, "weight": weight}]}
        for t in (1.0, 4.0)
        for weight in weights
    ]


ANSWERS: dict[str, Specs] = {
    "none": [{"name": "ce"}],
    "hard": [{"name": "ce"}],
    "smooth": [{"name": "ce"}],
    "shuffled": [{"name": "kd", "temperature": t} for t in TEMPERATURES],
    "kd": [{"name": "kd", "temperature": t} for t in TEMPERATURES],
    "kd, z-scores": [
        {"name": "kd", "temperature": t, "standardize": True} for t in (1.0, 2.0, 4.0)
    ],
    "dkd": [{"name": "dkd", "beta": b, "temperature": t} for b in (1.0, 8.0) for t in (1.0, 4.0)],
    "dist": [{"name": "dist", "temperature": t} for t in (1.0, 2.0, 4.0)],
    "wttm": [{"name": "wttm", "temperature": t} for t in (1.25, 2.0, 4.0)],
    "focal": [
        {"name": "focal", "beta": b, "temperature": t} for b in (1.0, 10.0) for t in (1.0, 4.0)
    ],
    "born_again": [{"name": "born_again"}],
    "multi_label": [{"name": "multi_label", "temperature": t} for t in (1.0, 2.0, 4.0)],
    "ema_teacher": [
        {"name": "combine", "parts": [{"name": "ema_teacher", "weight": w}]}
        for w in (1.0, 10.0, 100.0)
    ],
    "kd + rkd": beside_kd({"name": "rkd"}, 0.03, 0.3),
}
FEATURES: dict[str, Specs] = {
    "kd + rkd, penultimate": beside_kd({"name": "rkd", "layer": "penultimate"}, 0.03, 0.3),
    "kd + fitnet": beside_kd({"name": "fitnet", "layer": "penultimate"}, 0.03, 0.3),
    "kd + reviewkd": beside_kd({"name": "reviewkd"}, 0.1, 1.0),
    "kd + crd": beside_kd({"name": "crd", "negatives": 1024}, 0.05, 0.5),
    "kd + embedding": beside_kd({"name": "embedding"}, 0.3, 3.0),
    "kd + srd": beside_kd({"name": "srd"}, 0.1, 1.0),
    "srd": [{"name": "srd", "power": p} for p in (1.0, 2.0, 4.0)],
}
MANY_CLASSES = frozenset({"kd, z-scores"})  # refused where there are two


def candidates(given: Division, wanted: list[str]) -> dict[str, Specs]:
    """Those of the methods that such a teacher and such rows allow, with the settings to pick
    from.
    """
    found = ANSWERS if given.teacher is None else ANSWERS | FEATURES
    two = len(given.picked.classes) == 2
    left_out = MANY_CLASSES if two else frozenset[str]()
    return {name: found[name] for name in found if name in wanted and name not in left_out}


def students(
    given: Division, problem: Problem, arm: str, asked: list[tuple[dict[str, Any], int]]
) -> list[Classifier]:
    """Return a trained student for each method's settings and seed."""
    rows = arms.rows_of(arm, given.picked)
    normalize = Normalize.fit(rows.inputs, rows.schema)
    made = []
    for method, seed in asked:
        wanted = {"student": problem.student, "method": method}
        wanted |= {"epochs": problem.epochs, "batch": problem.batch}
        section = arms.section_of(arm, wanted)
        model = build_classifier(problem.student, rows.schema, normalize, seed, "student")
        budget = arms.fit_settings(section, len(given.picked), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            pair = Pair(model, given.teacher, rows, budget.steps or 0, given.features)
            loss = arms.objective(arm, section, given.answers, pair=pair)
        made.append(Member(model, loss, budget))
    return trained(made, rows)


def accuracy(model: torch.nn.Module, rows: Dataset) -> float:
    """In per cent."""
    return 100 * metrics.accuracy(logits_of(model, rows.inputs), rows.targets)


def judged(
    given: Division, problem: Problem, name: str, specs: Specs, seeds: int
) -> tuple[list[float], dict[str, Any]]:
    """Test accuracies of the setting that val picked, and which it was."""
    arm = name if name in CONTROLS else "student"
    scores = [0.0]
    if len(specs) > 1:
        tried = students(given, problem, arm, [(spec, PICKING) for spec in specs])
        scores = [accuracy(model, given.val) for model in tried]
    chosen = specs[scores.index(max(scores))]
    taught = students(given, problem, arm, [(chosen, seed) for seed in range(seeds)])
    return [accuracy(model, given.test) for model in taught], chosen


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean with the 95 % interval of Student's t over divisions; their test rows overlap, so it is
    a little too narrow.
    """
    mean, several = statistics.fmean(values), len(values) > 1
    spread = statistics.stdev(values) / math.sqrt(len(values)) if several else math.inf
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread if several else math.inf
    return mean - half, mean, mean + half


def rows_of_table(found: Found) -> list[dict[str, Any]]:
    """Return every method's accuracy and its difference to kd on the divisions that both have."""
    rows = []
    for name, runs in found.items():
        scores = [run["accuracy"] for run in runs.values()]
        both = [number for number in runs if number in found.get("kd", {})]
        over = [runs[at]["accuracy"] - found["kd"][at]["accuracy"] for at in both]
        rows.append(
            {
                "method": name,
                "accuracy": interval(scores),
                "over_kd": None if name in ("kd", "teacher") or not over else interval(over),
                "divisions": len(scores),
            }
        )
    return sorted(rows, key=lambda row: -row["accuracy"][1])


def markdown(told: dict[str, Any]) -> str:
    """Return the table of the docs for one set."""
    lines = [
        "| method | test accuracy, % | over `kd`, points | divisions |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows_of_table(told["found"]):
        low, mean, high = row["accuracy"]
        over = "{1:+.2f} [{0:+.2f}, {2:+.2f}]".format(*row["over_kd"]) if row["over_kd"] else ""
        reached = f"{mean:.2f} [{low:.2f}, {high:.2f}]"
        lines.append(f"| {row['method']} | {reached} | {over} | {row['divisions']} |")
    return "\n".join(lines)


def examined(
    name: str, wanted: list[str], how: tuple[range, int], known: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield what is known of a set after each method of each division; what was known before is not
    done again.

    Args:
        name: The set.
        wanted: Methods.
        how: Numbers of divisions, and students a method and division.
        known: What an earlier run came to; empty if there was none.
    """
    problem, (divisions, seeds) = SETS[name], how
    found: Found = known.get("found", {"teacher": {}})
    if known and (known["seeds"], known["epochs"]) != (seeds, problem.epochs):
        raise SystemExit(f"{name} is known with other seeds or epochs")
    spent = known.get("cpu_seconds", 0.0)
    for number in map(str, divisions):
        given = problem.divide(int(number)).looked_at()
        accurate = 100 * metrics.accuracy(given.told, given.test.targets)
        found["teacher"][number] = {"accuracy": accurate}
        for method, specs in candidates(given, wanted).items():
            if number in found.setdefault(method, {}):
                continue
            began = time.process_time()
            scores, chosen = judged(given, problem, method, specs, seeds)
            found[method][number] = {"accuracy": statistics.fmean(scores), "picked": chosen}
            spent += time.process_time() - began
            print(f"{name} {number}, {method}: {statistics.fmean(scores):.2f}", flush=True)
            student = build_classifier(
                problem.student, given.picked.schema, Normalize.empty(given.picked.schema), 0, ""
            )
            yield {
                "about": problem.about,
                "seeds": seeds,
                "epochs": problem.epochs,
                "batch": problem.batch,
                "student": dict(problem.student),
                "parameters": {"teacher": given.weights, "student": parameters(student)},
                "found": found,
                "rows": rows_of_table({name: runs for name, runs in found.items() if runs}),
                "cpu_seconds": round(spent, 1),
                "load": os.getloadavg()[0],
            }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("sets", nargs="*", default=list(SETS), choices=list(SETS))
    asked.add_argument("--divisions", type=int, default=5)
    asked.add_argument("--first", type=int, default=0, help="the first division's number")
    asked.add_argument("--seeds", type=int, default=2, help="students a method and division")
    asked.add_argument("--methods", nargs="*", default=[*ANSWERS, *FEATURES])
    asked.add_argument("--out", type=Path, help="JSON; what it holds is not done again")
    args = asked.parse_args()
    torch.set_num_threads(1)
    kept = json.loads(args.out.read_text()) if args.out and args.out.exists() else {"sets": {}}
    for name in args.sets:
        how = (range(args.first, args.first + args.divisions), args.seeds)
        for told in examined(name, args.methods, how, kept["sets"].get(name, {})):
            kept["sets"][name] = told
            kept["versions"] = {
                "torch": torch.__version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
            }
            if args.out:
                args.out.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        print(f"\n{kept['sets'][name]['about']}\n{markdown(kept['sets'][name])}")


if __name__ == "__main__":
    main()
