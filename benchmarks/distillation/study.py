"""How long does a study of 12 trials take, and what does it find, against the loop that people
write and against torchdistill?

Every side is given the same rows, the same trained teacher, the same twelve settings and the same
steps; for each seed the sides run one after the other in this process, on one thread, and their
processor time is taken, ours with the teacher's answers and the probe. The setting that is best on
val is judged on test.

    python benchmarks/distillation/study.py --set cnn-28 --seeds 3 --out cnn-28.json

Peer 2 is torchdistill 1.1.5. It needs torchvision, whose operators do not register beside this
torch: they are stubbed. `--torchdistill FOLDER` says where both are installed (`pip install
--target FOLDER --no-deps torchdistill==1.1.5 torchvision`); without it that peer is left out.
"""

import argparse
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from study_peers import Plain, Torchdistill
from study_sets import SETS, Given, Set
from study_tables import OURS, reached, table, times

from stillhouse.architectures.build import parameters
from stillhouse.clock import SYSTEM
from stillhouse.distillation.arms import STUDENT
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.macs import macs
from stillhouse.steps import arm as arms
from stillhouse.steps.engines import Engines
from stillhouse.steps.trials import Trials
from stillhouse.training.fit import fit
from stillhouse.tuning.halving import Halving
from stillhouse.tuning.plan import Found, Plan
from stillhouse.tuning.space import distributions, resolve
from stillhouse.tuning.study import search

TRIALS = 12
MICRO = 64  # rows that the teacher is asked about at once


@dataclass(frozen=True)
class Result:
    """What one side came to with one seed.

    Attributes:
        side: Its name.
        seconds: Of the processor.
        accuracy: Of the chosen setting's model on test, per cent.
        about: The engine, where there is one.
    """

    side: str
    seconds: float
    accuracy: float
    about: str = ""


def section(chosen: Set) -> dict[str, Any]:
    return {
        "student": chosen.student,
        "optimizer": {"name": "adamw", "lr": {"float": [0.001, 0.03], "log": True}},
        "method": {"name": "kd", "temperature": {"float": [1, 20], "log": True}},
        "supervised": 0.1,
        "epochs": chosen.epochs,
        "batch": chosen.batch,
    }


def ours(given: Given, seed: int, *, halving: Halving | None, engine: str) -> tuple[Result, Found]:
    """Run our study, the teacher's answers included, and judge its choice."""
    began = time.process_time()
    answers = logits_of(given.teacher, given.train.inputs, batch=MICRO)
    material = arms.Material(given.train, given.val, answers)
    asked = section(given.chosen)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(
            Path(folder), STUDENT, asked, "", Path(folder), seed=seed, source=lambda *_: material
        )
        plan = Plan(
            STUDENT, distributions(asked), TRIALS, TRIALS, ("val/accuracy",), f"{seed:064}", halving
        )
        crew = Engines(
            engine,  # type: ignore[arg-type]
            trials,
            TRIALS,
            pool=None,
            clock=SYSTEM,
            timing={},
            progress=lambda done, total, note: None,
        )
        found = search(plan, trials, Path(folder), crew=crew)
    seconds = time.process_time() - began
    best = resolve(asked, found.best.params)
    own, rows = arms.member(STUDENT, best, seed=seed, material=material)
    model = fit(own.model, own.objective, rows, given.val, own.settings).model
    name = "ours" if halving is None else "ours, halving"
    return Result(name, seconds, accuracy(model, given), found.engine), found


def peer(
    name: str,
    train: Callable[..., torch.nn.Module],
    given: Given,
    seed: int,
    tried: list[dict[str, Any]],
) -> Result:
    """Run the same settings one after the other, and judge the one that is best on val."""
    began, best, kept = time.process_time(), -1.0, None
    for params in tried:
        settings = resolve(section(given.chosen), params)
        model = train(given, settings, seed)
        reached = metrics.accuracy(logits_of(model, given.val.inputs), given.val.targets)
        if reached > best:
            best, kept = reached, model
    seconds = time.process_time() - began
    if kept is None:
        raise RuntimeError("no trial came to anything")
    return Result(name, seconds, accuracy(kept, given))


def accuracy(model: torch.nn.Module, given: Given) -> float:
    return 100 * metrics.accuracy(logits_of(model, given.test.inputs), given.test.targets)


def matrix_limit() -> float:
    """What this machine does in a product of two large matrices, one thread, float32: GFLOP/s."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    took = []
    for _ in range(10):
        began = time.process_time()
        torch.mm(a, b)
        took.append(time.process_time() - began)
    return 2 * 1024**3 / min(took) / 1e9


def arithmetic(given: Given) -> float:
    """GFLOP of the students' trainings in a whole study: forward once, backward twice as much."""
    each = 2 * macs(given.student(0), given.train.schema.shape)
    steps = given.chosen.epochs * math.ceil(len(given.train) / given.chosen.batch)
    return 3 * each * given.chosen.batch * steps * TRIALS / 1e9


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--set", choices=list(SETS), default="mlp-8")
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--first", type=int, default=0, help="the first seed")
    asked.add_argument("--engine", default="auto")
    asked.add_argument("--torchdistill", type=Path, help="where torchdistill is installed")
    asked.add_argument("--teacher", type=Path, help="a file that keeps the trained teacher")
    asked.add_argument("--out", type=Path, help="seeds that it holds already are kept")
    args = asked.parse_args()
    torch.set_num_threads(1)
    given = SETS[args.set].given(args.teacher)
    peers = [Plain()] + ([Torchdistill(args.torchdistill)] if args.torchdistill else [])
    runs = json.loads(args.out.read_text())["runs"] if args.out and args.out.is_file() else []

    def keep(run: dict[str, Any]) -> None:
        """Write down what there is after each side, so that a run cut short is taken up there."""
        others = [each for each in runs if each["seed"] != run["seed"]]
        runs[:] = sorted([*others, run], key=lambda each: each["seed"])
        if args.out:
            held = {"set": args.set, "about": about(given), "runs": runs, "rows": table(runs)}
            args.out.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")

    warm(given, peers, args.engine)
    for seed in range(args.first, args.first + args.seeds):
        known = next((run for run in runs if run["seed"] == seed), {"seed": seed, "sides": {}})
        print(json.dumps(one(known, given, peers, args.engine, keep)), flush=True)
    print(f"\n{args.set}: {about(given)}")
    if rows := table(runs):
        told = {"set": args.set, "runs": runs, "rows": rows}
        print(f"{times([told])}\n\n{reached([told])}")


def one(
    run: dict[str, Any],
    given: Given,
    peers: list[Any],
    engine: str,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Run the sides that a seed lacks, one after the other."""
    seed, sides = run["seed"], run["sides"]

    def add(result: Result) -> None:
        sides[result.side] = {
            "seconds": result.seconds,
            "accuracy": result.accuracy,
            "about": result.about,
            "load": os.getloadavg()[0],
        }
        keep(run)

    if OURS[0] not in sides:
        result, found = ours(given, seed, halving=None, engine=engine)
        run["tried"] = [dict(trial.params) for trial in found.trials]
        run["gflops"] = arithmetic(given) / result.seconds
        run["matrix_limit_gflops"] = matrix_limit()
        add(result)
    if OURS[1] not in sides:
        add(ours(given, seed, halving=Halving(0.25, 0.25), engine=engine)[0])
    for each in peers:
        if each.name not in sides:
            add(peer(each.name, each.train, given, seed, run["tried"]))
    return run


def warm(given: Given, peers: list[Any], engine: str) -> None:
    """Let each side load and set up what it does once a process, on a few rows: not measured."""
    few = torch.arange(given.chosen.batch)
    short = replace(
        given,
        chosen=replace(given.chosen, epochs=1),
        train=given.train.take(few),
        val=given.val.take(few),
        test=given.test.take(few),
    )
    _, found = ours(short, 0, halving=Halving(0.25, 0.25), engine=engine)
    for each in peers:
        each.train(short, resolve(section(short.chosen), found.best.params), 0)


def about(given: Given) -> dict[str, Any]:
    return {
        "trials": TRIALS,
        "student": parameters(given.student(0)),
        "teacher": parameters(given.teacher),
        "teacher_accuracy": accuracy(given.teacher, given),
        "rows": [len(given.train), len(given.val), len(given.test)],
        "epochs": given.chosen.epochs,
        "batch": given.chosen.batch,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    main()
