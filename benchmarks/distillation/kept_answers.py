"""What does a student lose where not all of the teacher's answer is kept?

300 classes are clouds in 16 dimensions, wide enough to overlap, so that the teacher's answer, the
true probability of each class, says much beside the first. Students learn from answers that are
kept whole, sampled, or cut to the largest, at equal bytes a row; all of one draw of the data are
trained from the same seed and judged on the same test rows. Prints a table, and writes JSON where
`--out` says.

    python benchmarks/distillation/kept_answers.py --draws 5 --out kept.json
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
from scipy import stats
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.evaluation import metrics
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.tasks import CLASSIFICATION
from stillhouse.knowledge.keep import ALL, Keep, Sampled, Top
from stillhouse.steps.arm import Material, train

CLASSES, FEATURES, TRAIN, TEST = 300, 16, 4000, 4000
WIDTH = 1.3  # of a cloud, in deviations of the centres
KEPT: dict[str, Keep] = {
    "all": ALL,
    "sampled 32": Sampled(32, 1.0),
    "top 15": Top(15),
    "sampled 8": Sampled(8, 1.0),
    "top 3": Top(3),
}
SECTION = {
    "student": {"name": "mlp", "width": 128, "depth": 2},
    "method": {"name": "kd", "temperature": 1.0},
    "optimizer": {"name": "adamw", "lr": 0.003},
    "supervised": 0.0,
    "epochs": 40,
    "batch": 128,
}


def drawn(seed: int) -> tuple[Dataset, Dataset, Tensor]:
    """Train and test rows, and the true log-probabilities of train [N, C]."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, FEATURES, generator=draw)
    targets = torch.randint(CLASSES, (TRAIN + TEST,), generator=draw)
    noise = torch.randn(TRAIN + TEST, FEATURES, generator=draw)
    inputs = centres[targets] + WIDTH * noise
    names = tuple(f"c{at:03d}" for at in range(CLASSES))
    schema = Schema("table", (FEATURES,), names, tuple(Feature(f"x{at}") for at in range(FEATURES)))
    rows = Dataset(inputs, targets, schema, torch.arange(TRAIN + TEST))
    truth = -torch.cdist(inputs.double(), centres.double()).square() / (2 * WIDTH**2)
    first = torch.arange(TRAIN)
    return rows.take(first), rows.take(first + TRAIN), truth[:TRAIN].log_softmax(dim=1)


def judged(keep: Keep, rows: Dataset, test: Dataset, truth: Tensor, seed: int) -> list[float]:
    """Accuracy (per cent), nats and calibration error (per cent) on test."""
    held = keep.encode(CLASSIFICATION.stored(truth), place=f"draw {seed}")
    material = Material(rows, test, keep.decode(held, CLASSES))
    model = train("student", SECTION, seed=seed, material=material).model
    told = logits_of(model, test.inputs)
    nats = float(metrics.nll(told, test.targets))
    right, error = metrics.accuracy(told, test.targets), metrics.ece(told, test.targets)
    return [100 * float(right), nats, 100 * float(error)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[list[float]]] = {name: [] for name in KEPT}
    for seed in range(asked.draws):
        rows, test, truth = drawn(seed)
        for name, keep in KEPT.items():
            found[name].append(judged(keep, rows, test, truth, seed))
    print(f"{CLASSES} classes, {TRAIN} rows, {asked.draws} draws; nats less those of `all`, 95 %")
    print(f"{'kept':>10} {'bytes':>5} {'accuracy':>8} {'nats':>6} {'ECE':>5}  difference")
    for name, keep in KEPT.items():
        mean = [statistics.mean(column) for column in zip(*found[name], strict=True)]
        apart = [mine[1] - whole[1] for mine, whole in zip(found[name], found["all"], strict=True)]
        half = 0.0
        if name != "all":
            spread = statistics.stdev(apart) / len(apart) ** 0.5
            half = float(stats.t.ppf(0.975, len(apart) - 1)) * spread
        gap = statistics.mean(apart)
        print(
            f"{name:>10} {keep.bytes_a_row(CLASSES):5} {mean[0]:8.2f} {mean[1]:6.3f} {mean[2]:5.2f}"
            f"  {gap:+.3f} [{gap - half:+.3f}, {gap + half:+.3f}]"
        )
    if asked.out:
        asked.out.write_text(json.dumps({"torch": torch.__version__, "found": found}, indent=1))


if __name__ == "__main__":
    main()
