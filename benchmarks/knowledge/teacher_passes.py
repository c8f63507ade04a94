"""What is the cheapest way to ask a teacher about many rows, and does it answer the same?

Nets of CIFAR's size (and an MLP) answer random rows on one thread: in torch in batches of several
sizes, with convolution and batch norm folded into one, in bfloat16, and in ONNX Runtime. All ways
are tried in turn, several rounds, and the median of their process CPU time a row is told, beside
the largest difference of a logit from plain torch in batches of 1024. Prints a table, and writes
JSON where `--out` says.

    python benchmarks/knowledge/teacher_passes.py --out benchmarks/knowledge/teacher_passes.json
"""

import argparse
import copy
import io
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from stillhouse.architectures.convnet import ConvNet
from stillhouse.architectures.mlp import MLP
from stillhouse.architectures.resnet import ResNet

Ask = Callable[[Tensor], Tensor]
PLAIN = "torch, 1024"
SIZES = (16, 64, 256, 1024)
MIDDLE = 64  # rows at once of the ways that are tried at one size
IMAGE = 3  # axes of a row
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet 56, 32 x 32 x 3": (lambda: ResNet(depth=56).build((3, 32, 32), 10), (3, 32, 32)),
    "resnet 20, 32 x 32 x 3": (lambda: ResNet(depth=20).build((3, 32, 32), 10), (3, 32, 32)),
    "convnet, 28 x 28": (lambda: ConvNet().build((1, 28, 28), 10), (1, 28, 28)),
    "mlp 256, 64 columns": (lambda: MLP(width=256, depth=2).build((64,), 10), (64,)),
}


def batched(ask: Ask, size: int) -> Ask:
    def all_of(rows: Tensor) -> Tensor:
        return torch.cat([ask(rows[at : at + size]) for at in range(0, len(rows), size)])

    return all_of


def session(net: nn.Module, shape: tuple[int, ...]) -> Ask:
    """The net in ONNX Runtime, one thread."""
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(2, *shape),),
            held,
            input_names=["rows"],
            dynamic_axes={"rows": {0: "rows"}},
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(held.getvalue(), options)
    return lambda rows: torch.from_numpy(np.asarray(opened.run(None, {"rows": rows.numpy()})[0]))


def ways(net: nn.Module, shape: tuple[int, ...]) -> dict[str, Ask]:
    folded, half = fuse(copy.deepcopy(net)), copy.deepcopy(net).bfloat16()
    onnx = session(net, shape)
    made: dict[str, Ask] = {f"torch, {size}": batched(net, size) for size in SIZES}
    if len(shape) == IMAGE:
        lasting = copy.deepcopy(net).to(memory_format=torch.channels_last)
        made[f"channels last, {MIDDLE}"] = batched(lasting, MIDDLE)
    made[f"folded, {MIDDLE}"] = batched(folded, MIDDLE)
    made[f"bfloat16, {MIDDLE}"] = batched(lambda rows: half(rows.bfloat16()).float(), MIDDLE)
    return made | {f"onnxruntime, {size}": batched(onnx, size) for size in (MIDDLE, 1024)}


def measured(name: str, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    build, shape = NETS[name]
    torch.manual_seed(0)
    net, seen = build(), torch.rand(rows, *shape)
    seconds: dict[str, list[float]] = {}
    told: dict[str, Tensor] = {}
    with torch.no_grad():
        net.train()(seen[:64])  # statistics of the batch norms
        made = ways(net.eval(), shape)
        for ask in made.values():
            ask(seen[:16])
        for _ in range(rounds):
            for way, ask in made.items():
                start = time.process_time()
                told[way] = ask(seen)
                seconds.setdefault(way, []).append(time.process_time() - start)
    return {
        way: {
            "microseconds_a_row": 1e6 * statistics.median(taken) / rows,
            "times": statistics.median(seconds[PLAIN]) / statistics.median(taken),
            "largest_difference": float((told[way] - told[PLAIN]).abs().max()),
            "logit_deviation": float(told[PLAIN].std()),
        }
        for way, taken in seconds.items()
    }


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--rows", type=int, default=1024)
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--nets", nargs="*", default=list(NETS))
    reader.add_argument("--out", type=Path)
    given = reader.parse_args()
    torch.set_num_threads(1)
    found = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    said = {**found, "machine": platform.machine(), "rows": given.rows, "rounds": given.rounds}
    print(said)
    results = {}
    for name in given.nets:
        results[name] = measured(name, given.rows, given.rounds)
        print(
            f"\n{name}\n| way | µs a row | times | largest difference |\n| --- | --- | --- | --- |"
        )
        for way, of in results[name].items():
            print(
                f"| {way} | {of['microseconds_a_row']:.0f} | {of['times']:.2f} | "
                f"{of['largest_difference']:.1e} |",
                flush=True,
            )
        if given.out:
            given.out.write_text(json.dumps({**said, "nets": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
