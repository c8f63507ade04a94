"""What does a student that is trained against attacks gain, and what does it pay? Digits 8 × 8, 100
labelled and 100 unlabelled rows, epsilon 0.1 in the largest norm.

Every method teaches the same student from the same rows, seeds and steps, once from a plain teacher
and once from one that was trained against attacks itself (pgd_at on all its labels). All students
of a division are judged one after another on the same test rows, clean and under PGD-40 and
APGD-CE, of which each row has to withstand both. Nothing is picked: every setting is its default.

    python benchmarks/distillation/robust.py --divisions 5 --out robust.json
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from quality import interval
from quality_sets import Division, digits
from torch import Tensor, nn

from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.attacks.apgd_ce import APGDCE
from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat
from stillhouse.distillation import arms
from stillhouse.distillation.live import Pair
from stillhouse.distillation.methods.pgd_at import PGDAt
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, fit

STUDENT = {"name": "mlp", "width": 32, "depth": 2}
TEACHER = {"name": "mlp", "width": 256, "depth": 2}
METHODS = ("kd", "pgd_at", "trades", "rslad", "adaad", "igdm", "saad")
EPSILON = 0.1
Found = dict[str, dict[str, list[dict[str, float]]]]
"""By teacher and method: what each division came to."""


def hardened(given: Division) -> Division:
    """The same division with a teacher that learned all its labels under attack."""
    train = given.train
    model = build_classifier(
        TEACHER, train.schema, Normalize.fit(train.inputs, train.schema), 0, ""
    )
    loss = Distillation(
        method=PGDAt(epsilon=EPSILON),
        selector=All(),
        supervised=0.0,
        answers=None,
        pair=Pair(model, None, train),
    )
    fit(model, loss, train, given.val, FitSettings(epochs=60))
    model.requires_grad_(False)
    answers, told = (logits_of(model, rows.inputs) for rows in (given.picked, given.test))
    return replace(given, teacher=model, answers=answers, told=told)


def student(given: Division, name: str, seed: int, epochs: int) -> Classifier:
    """One student by one method, at its defaults."""
    section = {"student": STUDENT, "method": {"name": name}, "epochs": epochs}
    rows = given.picked
    normalize = Normalize.fit(rows.inputs, rows.schema)
    model = build_classifier(STUDENT, rows.schema, normalize, seed, "student")
    budget = arms.fit_settings(section, len(rows), seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = Pair(model, given.teacher, rows, budget.steps or 0)
        loss = arms.objective("student", section, given.answers, pair=pair)
    return fit(model, loss, rows, given.val, budget).model


def judged(model: nn.Module, given: Division) -> dict[str, float]:
    """Per cent of the test rows that are right, and that stay right under both attacks."""
    rows = given.test
    threat = Threat("linf", EPSILON, Space.of(rows.schema, rows.inputs))
    kept: Tensor = metrics.correct(logits_of(model, rows.inputs), rows.targets)
    clean = 100 * float(kept.double().mean())
    for attack in (PGD(steps=40), APGDCE(steps=40)):
        generator = torch.Generator().manual_seed(0)
        found = run_attack(
            attack, model, rows.inputs, rows.targets, threat=threat, generator=generator
        )
        kept = kept & found.still_correct
    return {"clean": clean, "robust": 100 * float(kept.double().mean())}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--divisions", type=int, default=5)
    asked.add_argument("--epochs", type=int, default=400)
    asked.add_argument("--methods", nargs="*", default=list(METHODS))
    asked.add_argument("--out", type=Path, help="JSON; what it holds is not done again")
    args = asked.parse_args()
    torch.set_num_threads(1)
    known = json.loads(args.out.read_text()) if args.out and args.out.is_file() else {"tables": {}}
    found: Found = {
        kind: {row["method"]: row["runs"] for row in table}
        for kind, table in known["tables"].items()
    }
    for number in range(args.divisions):
        plain = digits(number)
        for kind in ("plain", "hardened"):
            table = found.setdefault(kind, {})
            lacking = [
                name for name in ("teacher", *args.methods) if len(table.get(name, [])) <= number
            ]
            given = hardened(plain) if lacking and kind == "hardened" else plain
            for name in lacking:
                table.setdefault(name, []).append(examined(given, name, number, args.epochs))
                print(f"{number}, {kind} teacher, {name}: {table[name][-1]}", flush=True)
                if args.out:
                    told = {"about": about(plain, args.epochs), "tables": tables(found)}
                    args.out.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    for kind, rows in tables(found).items():
        print(f"\nfrom a {kind} teacher\n{markdown(rows)}")


def examined(given: Division, name: str, number: int, epochs: int) -> dict[str, float]:
    """Judge the teacher, or a student by one method with the seconds that its training took."""
    if name == "teacher":
        if given.teacher is None:
            raise TypeError("both teachers are torch models")
        return judged(given.teacher, given)
    began = time.process_time()
    model = student(given, name, number, epochs)
    return {"seconds": time.process_time() - began, **judged(model, given)}


def about(given: Division, epochs: int) -> dict[str, Any]:
    rows = given.picked
    model = build_classifier(STUDENT, rows.schema, Normalize.empty(rows.schema), 0, "")
    return {
        "epochs": epochs,
        "epsilon": EPSILON,
        "parameters": parameters(model),
        "torch": torch.__version__,
    }


def tables(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return each teacher's table; a difference to kd is of the divisions that both have."""
    return {
        kind: [row(name, runs, table.get("kd", [])) for name, runs in table.items()]
        for kind, table in found.items()
    }


def row(name: str, runs: list[dict[str, float]], kd: list[dict[str, float]]) -> dict[str, Any]:
    over = [run["robust"] - other["robust"] for run, other in zip(runs, kd, strict=False)]
    return {
        "method": name,
        "clean": interval([run["clean"] for run in runs]),
        "robust": interval([run["robust"] for run in runs]),
        "over_kd": interval(over) if over and name not in ("kd", "teacher") else None,
        "seconds": sum(run.get("seconds", 0.0) for run in runs) / len(runs),
        "divisions": len(runs),
        "runs": runs,
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of the docs for one teacher."""
    lines = [
        "| trained by | clean, % | under attack, % | against kd, points | processor, s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for told in rows:
        clean, robust = (
            "{1:.1f} [{0:.1f}, {2:.1f}]".format(*told[key]) for key in ("clean", "robust")
        )
        over = "{1:+.1f} [{0:+.1f}, {2:+.1f}]".format(*told["over_kd"]) if told["over_kd"] else ""
        spent = f"{told['seconds']:.1f}" if told["seconds"] else ""
        lines.append(f"| {told['method']} | {clean} | {robust} | {over} | {spent} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
