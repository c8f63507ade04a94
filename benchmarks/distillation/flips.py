"""How many answers that were right turn wrong when a champion is replaced? Digits 8 × 8.

The champion learned from 100 labels and 100 unlabelled rows. Its successor, as small, has 200
labels more. It is trained by labels alone, by `kd` from the champion, and by `focal`, at several
weights β; the setting is picked on val by the fewest negative flips among those that lose at most
half a point of the best accuracy there, and judged on test: negative flips, accuracy, and whether
a budget of 2 % of the rows would let it pass.

    python benchmarks/distillation/flips.py --divisions 10 --out flips.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from quality import interval
from quality_sets import Division, digits
from together import trained
from torch import Tensor

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import UNLABELLED, Dataset
from stillhouse.distillation import arms
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fleet import Member

STUDENT = {"name": "mlp", "width": 32, "depth": 2}
LABELS, BUDGET, SLACK = 300, 0.02, 0.005
SHARES = (0.1, 0.3, 0.5)  # of the labels in the loss
WAYS: dict[str, list[dict[str, Any]]] = {
    "labels alone": [{"supervised": 1.0, "method": {"name": "ce"}}],
    "kd": [{"supervised": s, "method": {"name": "kd", "temperature": 2.0}} for s in SHARES],
    "focal": [
        {"supervised": s, "method": {"name": "focal", "beta": beta, "temperature": 2.0}}
        for s in SHARES
        for beta in (2.0, 5.0, 20.0)
    ],
}


def models_of(
    rows: Dataset, told: Tensor, ways: list[dict[str, Any]], seed: int
) -> list[Classifier]:
    """Train a model each way on rows, with somebody's answers to them."""
    normalize, made = Normalize.fit(rows.inputs, rows.schema), []
    for how in ways:
        section = {"student": STUDENT, "epochs": 300, **how}
        model = build_classifier(STUDENT, rows.schema, normalize, seed, "student")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loss = arms.objective("student", section, told)
        made.append(Member(model, loss, arms.fit_settings(section, len(rows), seed)))
    return trained(made, rows)


def successor(given: Division) -> Dataset:
    """Rows of the new training: the champion's, and as many labels more."""
    rest = given.train.take(torch.arange(LABELS + 100))
    known = torch.where(torch.arange(len(rest)) < LABELS, rest.targets, UNLABELLED)
    return Dataset(rest.inputs, known, rest.schema, rest.rows)


def counted(model: Classifier, champion: Classifier, rows: Dataset) -> dict[str, float]:
    """Negative flips and accuracy, in per cent of the rows."""
    before, after = (
        metrics.correct(logits_of(one, rows.inputs), rows.targets) for one in (champion, model)
    )
    share = 100 / len(rows)
    return {"flips": float((before & ~after).sum()) * share, "accuracy": float(after.sum()) * share}


def picked(found: list[dict[str, float]]) -> int:
    """The fewest flips among those that lose at most half a point on val."""
    enough = max(one["accuracy"] for one in found) - 100 * SLACK
    allowed = [at for at, one in enumerate(found) if one["accuracy"] >= enough]
    return min(allowed, key=lambda at: (found[at]["flips"], -found[at]["accuracy"]))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--divisions", type=int, default=10)
    asked.add_argument("--out", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    held = json.loads(args.out.read_text()) if args.out and args.out.is_file() else {}
    found: list[dict[str, dict[str, float]]] = held.get("divisions", [])
    for number in range(len(found), args.divisions):
        found.append(division(number))
        if args.out:
            about = {"budget": BUDGET, "torch": torch.__version__}
            told = {"about": about, "rows": report(found), "divisions": found}
            args.out.write_text(json.dumps(told, indent=1) + "\n")
    print(markdown(found))


def division(number: int) -> dict[str, dict[str, float]]:
    """Return what each way came to on the rows of one division."""
    given = digits(number, epochs=30)
    old = {"supervised": 0.1, "method": {"name": "kd"}}
    (champion,) = models_of(given.picked, given.answers, [old], 0)
    rows = successor(given)
    told = logits_of(champion, rows.inputs)
    found = {"champion": counted(champion, champion, given.test)}
    for name, ways in WAYS.items():
        models = models_of(rows, told, ways, 1)
        chosen = picked([counted(model, champion, given.val) for model in models])
        found[name] = counted(models[chosen], champion, given.test)
        print(f"{number}, {name}: {found[name]}, picked {ways[chosen]}", flush=True)
    return found


def report(found: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Return each way's negative flips, beside labels alone, and accuracy, with their intervals."""
    rows = []
    for name in found[0]:
        runs, alone = [one[name] for one in found], [one["labels alone"] for one in found]
        pairs = zip(runs, alone, strict=True)
        rows.append(
            {
                "trained_by": name,
                "flips": interval([run["flips"] for run in runs]),
                "against_labels": interval([a["flips"] - b["flips"] for a, b in pairs]),
                "accuracy": interval([run["accuracy"] for run in runs]),
                "in_budget": sum(run["flips"] <= 100 * BUDGET for run in runs),
                "of": len(runs),
            }
        )
    return rows


def markdown(found: list[dict[str, dict[str, float]]]) -> str:
    """Return the table of the docs."""
    lines = [
        "| trained by | negative flips, % | against labels alone | accuracy, % | in budget |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in report(found):
        flips, right = row["flips"], row["accuracy"]
        fewer = "{1:+.2f} [{0:+.2f}, {2:+.2f}]".format(*row["against_labels"])
        if row["trained_by"] in ("champion", "labels alone"):
            fewer = ""
        lines.append(
            f"| {row['trained_by']} | {flips[1]:.2f} [{flips[0]:.2f}, {flips[2]:.2f}] | {fewer} | "
            f"{right[1]:.1f} [{right[0]:.1f}, {right[2]:.1f}] | {row['in_budget']} of {row['of']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
