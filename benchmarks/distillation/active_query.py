"""Does it pay to choose which rows a paid teacher is asked about?

Rows of digits are divided anew each time; 30 have labels. Then the teacher is asked about 20, 50 or
100 more, drawn evenly (as `query: even` does) or chosen (`query: informative`), and a student
learns from all of them. Both sides of a division are trained one after the other from the same
seeds, and the difference of their test accuracies is paired. Prints a table, and writes JSON where
`--out` says.

    python benchmarks/distillation/active_query.py --divisions 10 --seeds 3 --out query.json
"""

import argparse
import json
import math
import platform
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from scipy import stats

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.sources.digits import Digits
from stillhouse.data.splits import Split
from stillhouse.environment import place
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.metrics import accuracy
from stillhouse.steps.arm import Material, train
from stillhouse.steps.prepare import Prepared, divide
from stillhouse.steps.query import informed
from stillhouse.steps.step import Job, silent
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Lesson, Oracle
from stillhouse.workspace import StepFiles, Workspace

LABELLED, ASKED = 30, (20, 50, 100)
STEPS = 600  # of a student, whatever it learns from
TEACHER = {"name": "fit", "architecture": {"name": "mlp", "width": 256, "depth": 2}, "epochs": 40}
SECTION = {
    "student": {"name": "mlp", "width": 32, "depth": 2},
    "method": {"name": "kd", "temperature": 4.0},
    "optimizer": {"name": "adamw", "lr": 0.003},
    "batch": 64,
}


def teacher_of(ready: Prepared, root: Path) -> Oracle:
    """The big model, which knows all labels of train."""
    teacher = config.plugin("teachers", TEACHER, where="teacher")
    lesson = Lesson(ready.train, ready.val, root, root / "work", 0, silent)
    oracle: Oracle = teacher.recall(teacher.learn(lesson), ready.train.schema)
    return oracle


def reached(ready: Prepared, oracle: Oracle, seeds: int) -> float:
    """Mean test accuracy of students that learn from what was picked, in per cent."""
    shown = ready.shown.take(ready.picked == 1)
    material = Material(shown, ready.val, ask(oracle, shown))
    epochs = math.ceil(STEPS / math.ceil(len(shown) / 64))
    return statistics.mean(
        100 * accuracy(
            logits_of(
                train("student", {**SECTION, "epochs": epochs}, seed=seed, material=material).model,
                ready.test.inputs,
            ),
            ready.test.targets,
        )
        for seed in range(seeds)
    )  # fmt: skip


def compared(rows: Dataset, division: int, asked: int, seeds: int) -> tuple[float, float]:
    """Test accuracies (even, informative) of one division."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        job = Job(StepFiles(Workspace(root), "prepare"), {}, place(root))
        even = divide(rows, Split("row", 0.1, 0.4, division), labelled=LABELLED, unlabelled=asked)
        oracle = teacher_of(even, root)
        chosen = informed(replace(even), job)
        return reached(even, oracle, seeds), reached(chosen, oracle, seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--divisions", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows, table = Digits().read(Path()), []
    print(f"{LABELLED} labelled rows of digits; {asked.divisions} divisions x {asked.seeds} seeds")
    print(f"{'asked':>5} {'even':>6} {'informative':>11} {'difference':>10}  95 % interval")
    for count in ASKED:
        pairs = [compared(rows, d, count, asked.seeds) for d in range(asked.divisions)]
        gains = [informative - even for even, informative in pairs]
        mean = statistics.mean(gains)
        half = stats.t.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
        even, informative = (statistics.mean(side) for side in zip(*pairs, strict=True))
        interval = f"[{mean - half:+.2f}, {mean + half:+.2f}]"
        print(f"{count:5} {even:6.2f} {informative:11.2f} {mean:+10.2f}  {interval}")
        table.append(
            {"asked": count, "pairs": pairs, "gain": mean, "interval": [mean - half, mean + half]}
        )
    if asked.out:
        about = {"torch": torch.__version__, "machine": platform.processor() or platform.machine()}
        asked.out.write_text(json.dumps({**about, "labelled": LABELLED, "rows": table}, indent=1))


if __name__ == "__main__":
    main()
