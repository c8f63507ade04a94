"""Does `torch.compile` pay for a small student's training steps?

For each student the same steps are taken by the net as it is and by a compiled one, in turn, on the
device that `STILLHOUSE_DEVICE` names (on a GPU also by CUDA graphs): the forward pass, cross
entropy, the backward pass and AdamW; images with channels last in memory on both sides. On the CPU
it is processor time on one thread, a C++ compiler that runs beside it included; on a GPU the
clock's, between two waits for the device. The net is compiled anew for each student, as on a
machine that never did.

    python benchmarks/distillation/compiled.py --out compiled.json
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process, whose time is taken

import torch
from study_tables import Interval, interval, several
from torch import Tensor, nn

from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.classifier import Classifier
from stillhouse.models.device import chosen
from stillhouse.models.normalize import Normalize
from stillhouse.training.pace import laid

ROUNDS, STEPS, BATCH = 5, 50, 64
STUDENTS: dict[str, tuple[dict[str, Any], str, tuple[int, ...]]] = {
    "mlp, 8 × 8": ({"name": "mlp", "width": 64, "depth": 2}, "image", (1, 8, 8)),
    "convnet, 8 × 8": ({"name": "convnet", "width": 8}, "image", (1, 8, 8)),
    "convnet, 28 × 28": ({"name": "convnet", "width": 16}, "image", (1, 28, 28)),
    "resnet, 32 × 32": ({"name": "resnet"}, "image", (3, 32, 32)),
    "tcn, 128 steps": ({"name": "tcn"}, "series", (128, 6)),
    "gru, 64 steps": ({"name": "gru"}, "series", (64, 6)),
    "tiny_transformer, 64 steps": ({"name": "tiny_transformer"}, "series", (64, 6)),
}


class Student:
    """One net, with its optimiser and a batch that it is trained on again and again."""

    def __init__(self, name: str, device: torch.device, mode: str | None) -> None:
        spec, kind, shape = STUDENTS[name]
        channels = shape[-1] if kind == "series" else shape[0]
        features = tuple(Feature(f"x{number}") for number in range(channels))
        schema = Schema(kind, shape, tuple("abcde"), features)  # type: ignore[arg-type]
        drawn = torch.Generator().manual_seed(0)
        inputs = torch.randn(BATCH, *shape, generator=drawn)
        targets = torch.randint(5, (BATCH,), generator=drawn)
        scale = Normalize.fit(inputs, schema)
        self.model: Classifier = build_classifier(spec, schema, scale, 0, "student").to(device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.inputs, self.targets = laid(inputs.to(device), "channels_last"), targets.to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)
        if mode is not None:
            self.model.compile(mode=mode)

    def steps(self, count: int) -> None:
        self.model.train()
        for _ in range(count):
            loss = nn.functional.cross_entropy(self.model(self.inputs), self.targets)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

    def answers(self) -> Tensor:
        self.model.train()
        with torch.no_grad():
            return self.model(self.inputs).cpu()


def now(device: torch.device) -> float:
    if device.type != "cpu":
        torch.accelerator.synchronize()
        return time.perf_counter()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def taken(device: torch.device, student: Student, count: int) -> float:
    began = now(device)
    student.steps(count)
    return now(device) - began


def measured(name: str, device: torch.device) -> dict[str, Any]:
    """Return what one student's steps take, and how long it is compiled."""
    modes = {"compiled": "default"}
    if device.type != "cpu":
        modes["graphs"] = "reduce-overhead"
    plain = Student(name, device, None)
    others = {way: Student(name, device, mode) for way, mode in modes.items()}
    plain.steps(3)
    first = {way: taken(device, student, 3) for way, student in others.items()}
    apart = {
        way: float((student.answers() - plain.answers()).abs().max())
        for way, student in others.items()
    }
    took: dict[str, list[float]] = {way: [] for way in ("plain", *others)}
    for _ in range(ROUNDS):
        for way, student in {"plain": plain, **others}.items():
            took[way].append(taken(device, student, STEPS) / STEPS)
    return {
        "student": name,
        "weights": parameters(plain.model),
        "seconds_a_step": took,
        "compiling": first,
        "apart_after_3_steps": apart,
    }


def faster(row: dict[str, Any], way: str) -> Interval:
    took = row["seconds_a_step"]
    return interval([own / other for own, other in zip(took["plain"], took[way], strict=True)])


def repaid(row: dict[str, Any], way: str) -> str:
    """Return after how many steps the compiling has been saved again, where steps are faster beyond
    doubt.
    """
    took = row["seconds_a_step"]
    saved = statistics.fmean(took["plain"]) - statistics.fmean(took[way])
    least = faster(row, way)[0]
    if least is None or least <= 1:
        return "never"
    return f"{math.ceil(row['compiling'][way] / saved / 1000) * 1000:,}"


def markdown(told: dict[str, Any]) -> str:
    """Return the table of the docs."""
    lines = [
        "| student, weights | way | ms a step | as it is, ms | times faster | to compile, s "
        "| repaid after steps |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in told["rows"]:
        took = row["seconds_a_step"]
        for way in row["compiling"]:
            lines.append(
                f"| {row['student']}, {row['weights']:,} | {way} "
                f"| {1000 * statistics.fmean(took[way]):.2f} "
                f"| {1000 * statistics.fmean(took['plain']):.2f} "
                f"| {several(faster(row, way), 2)} | {row['compiling'][way]:.1f} "
                f"| {repaid(row, way)} |"
            )
    return "\n".join(lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--students", nargs="*", default=list(STUDENTS), choices=list(STUDENTS))
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    torch.set_num_threads(1)
    device = chosen(os.environ.get("STILLHOUSE_DEVICE", "auto"))
    about = {
        "device": str(device),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "batch": BATCH,
        "rounds": ROUNDS,
        "steps": STEPS,
    }
    rows = []
    for name in given.students:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            torch.compiler.reset()
            rows.append(measured(name, device))
        print(json.dumps(rows[-1]), flush=True)
    told = {"about": about, "rows": rows}
    print(f"\n{about}\n{markdown(told)}")
    if given.out is not None:
        given.out.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
