"""How much memory does a study take beside its data? MNIST, as many rows as asked for.

In a process of its own for each line: libraries are loaded and a study of a few rows warms them up,
the rows are read, and then a whole study is run, the teacher's answers included. What is reported
is the process's largest resident size while the study runs, less its resident size after the
warm-up, before the rows were read: so it counts the rows themselves, the answers, and all that a
study makes of both. The bound is twice the rows (train and val, as tensors) plus the answers.

    python benchmarks/distillation/memory.py --out benchmarks/distillation/results/memory.json
"""

import argparse
import gc
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from study import ours
from study_sets import CLASSES, MLP, SMALL, Given, Set, idx

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.normalize import Normalize
from stillhouse.tuning.halving import Halving

TEACHER = {"name": "mlp", "width": 256, "depth": 2}  # untrained: what it says takes no other room
MIB = 2**20
LINES: dict[str, tuple[dict[str, Any], int, str]] = {
    "12 perceptrons in one loop": (MLP, 50000, "fleet"),
    "12 perceptrons in turn": (MLP, 50000, "sequential"),
    "12 convnets in one loop": (SMALL, 50000, "fleet"),
}


def read(student: dict[str, Any], rows: int, batch: int) -> Given:
    """Read so many train rows, and 2,000 of val."""
    inputs, targets = idx("mnist")
    schema = Schema("image", tuple(inputs.shape[1:]), CLASSES, (Feature("ink", low=0, high=1),))
    parts = []
    for first, last in ((0, rows), (rows, rows + 2000), (rows + 2000, rows + 2100)):
        numbers = torch.arange(first, last)
        parts.append(Dataset(inputs[numbers], targets[numbers], schema, numbers))
    train, val, test = parts
    chosen = Set("mnist", student, TEACHER, (rows, 2000, 100), 1, batch, 0, 0)
    teacher = build_classifier(TEACHER, schema, Normalize.fit(train.inputs[:1000], schema), 0, "")
    return Given(chosen, train, val, test, teacher.requires_grad_(False))


def size(*tensors: torch.Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def resident(field: str) -> int:
    """VmRSS, or VmHWM since the mark was last put back: bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this system does not tell {field}")


def measured(name: str, rows: int) -> dict[str, Any]:
    """Run one line's study here."""
    student, most, engine = LINES[name]
    torch.set_num_threads(1)
    full = read(student, 300, 128)
    ours(full, 0, halving=Halving(0.25, 0.25), engine=engine)
    del full
    gc.collect()
    base = resident("VmRSS")
    given = read(student, min(rows, most), 128)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # from here on the mark counts anew
    held = resident("VmRSS") - base
    result, found = ours(given, 1, halving=Halving(0.25, 0.25), engine=engine)
    peak = resident("VmHWM") - base
    data = sum(size(each.inputs, each.targets, each.rows) for each in (given.train, given.val))
    answers = len(given.train) * len(CLASSES) * 4
    return {
        "line": name,
        "engine": found.engine,
        "rows": len(given.train),
        "data_mib": data / MIB,
        "answers_mib": answers / MIB,
        "after_reading_mib": held / MIB,
        "peak_mib": peak / MIB,
        "bound_mib": (2 * data + answers) / MIB,
        "cpu_seconds": result.seconds,
    }


def markdown(told: dict[str, Any]) -> str:
    """Return the table of the docs."""
    lines = [
        "| study | rows | data, MiB | answers, MiB | peak, MiB | of twice the data + answers |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in told["rows"]:
        share = math.ceil(100 * row["peak_mib"] / row["bound_mib"])
        lines.append(
            f"| {row['line']} | {row['rows']:,} | {row['data_mib']:.0f} | {row['answers_mib']:.1f} "
            f"| {row['peak_mib']:.0f} | {share} % |"
        )
    return "\n".join(lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--rows", type=int, default=50000)
    asked.add_argument("--lines", nargs="*", default=list(LINES), choices=list(LINES))
    asked.add_argument("--child", choices=list(LINES), help=argparse.SUPPRESS)
    asked.add_argument("--out", type=Path, help="lines that it holds already are kept")
    args = asked.parse_args()
    if args.child:
        print(json.dumps(measured(args.child, args.rows)))
        return
    held = json.loads(args.out.read_text())["rows"] if args.out and args.out.is_file() else []
    known = {row["line"]: row for row in held}
    for name in args.lines:
        if name not in known:
            order = [sys.executable, __file__, "--child", name, "--rows", str(args.rows)]
            known[name] = json.loads(subprocess.check_output(order, text=True).splitlines()[-1])
            print(known[name], flush=True)
        told = {"rows": [known[each] for each in LINES if each in known]}
        told["about"] = {"torch": torch.__version__}
        if args.out:
            args.out.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    print(markdown({"rows": [known[each] for each in LINES if each in known]}))


if __name__ == "__main__":
    main()
