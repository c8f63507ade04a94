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
from collections.abc import Mapping
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
    asked.add_argument("--out", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for number in range(args.divisions):
        plain = digits(number)
        for kind, given in (("plain", plain), ("hardened", hardened(plain))):
            if given.teacher is None:
                raise TypeError("both teachers are torch models")
            table = found.setdefault(kind, {})
            table.setdefault("teacher", []).append(judged(given.teacher, given))
            for name in args.methods:
                began = time.process_time()
                model = student(given, name, number, args.epochs)
                seconds = time.process_time() - began
                table.setdefault(name, []).append({**judged(model, given), "seconds": seconds})
                told = table[name][-1]
                print(f"{number}, {kind} teacher, {name}: {told}", flush=True)
    written = {kind: report(kind, table) for kind, table in found.items()}
    model = build_classifier(
        STUDENT, plain.picked.schema, Normalize.empty(plain.picked.schema), 0, ""
    )
    about: Mapping[str, Any] = {
        "divisions": args.divisions,
        "epochs": args.epochs,
        "epsilon": EPSILON,
        "parameters": parameters(model),
        "torch": torch.__version__,
    }
    if args.out:
        text = json.dumps({"about": about, "tables": written}, indent=1, sort_keys=True)
        args.out.write_text(text + "\n")


def report(kind: str, table: Mapping[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Print one teacher's table, and return it for JSON."""
    rows = []
    print(f"\nfrom a {kind} teacher")
    print(
        "| method | clean, % | under attack, % | over kd, points | CPU s |\n|---|---|---|---|---|"
    )
    for name, runs in table.items():
        clean, robust = (interval([run[key] for run in runs]) for key in ("clean", "robust"))
        over = interval([a["robust"] - b["robust"] for a, b in zip(runs, table["kd"], strict=True)])
        seconds = sum(run.get("seconds", 0.0) for run in runs) / len(runs)
        print(
            f"| {name} | {clean[1]:.1f} [{clean[0]:.1f}, {clean[2]:.1f}] | {robust[1]:.1f} "
            f"[{robust[0]:.1f}, {robust[2]:.1f}] | {over[1]:+.1f} [{over[0]:+.1f}, {over[2]:+.1f}] "
            f"| {seconds:.1f} |"
        )
        told = {"method": name, "clean": clean, "robust": robust, "over_kd": over}
        rows.append({**told, "seconds": seconds, "runs": runs})
    return rows


if __name__ == "__main__":
    main()
