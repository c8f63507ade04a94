"""The data, students and teachers of the benchmark of studies."""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.objective import Labels
from stillhouse.workspace import dump_tensors, load_tensors, write_atomic

CLASSES = tuple(map(str, range(10)))


@dataclass(frozen=True)
class Set:
    """One line of the table.

    Attributes:
        source: `digits`, or a folder of STILLHOUSE_DATA in MNIST's format.
        student: Its architecture.
        teacher: The teacher's, trained on `teacher_rows` for `teacher_epochs`.
        rows: Train, val and test rows.
        epochs: Of every trial.
        batch: Rows a step.
        teacher_rows: Train rows of the teacher, from the first.
        teacher_epochs: Its epochs.
    """

    source: str
    student: dict[str, Any]
    teacher: dict[str, Any]
    rows: tuple[int, int, int]
    epochs: int
    batch: int
    teacher_rows: int
    teacher_epochs: int

    def given(self, kept: Path | None = None) -> "Given":
        """Read the rows, and train the teacher or load it from where it was kept."""
        inputs, targets = digits() if self.source == "digits" else idx(self.source)
        side = inputs.shape[-1]
        schema = Schema("image", (1, side, side), CLASSES, (Feature("ink", low=0, high=1),))
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
        full = Dataset(inputs[order], targets[order], schema, torch.arange(len(inputs)))
        ends = np.cumsum(self.rows).tolist()
        train, val, test = (
            full.take(torch.arange(first, last))
            for first, last in zip([0, *ends[:2]], ends, strict=True)
        )
        # the teacher stands for a model trained elsewhere, on more rows: none of val or test
        more = full.take(torch.arange(ends[2], ends[2] + self.teacher_rows - len(train)))
        whole = Dataset(
            torch.cat([train.inputs, more.inputs]),
            torch.cat([train.targets, more.targets]),
            schema,
            torch.arange(self.teacher_rows),
        )
        normalize = Normalize.fit(whole.inputs, schema)
        teacher = build_classifier(self.teacher, schema, normalize, 0, "teacher")
        if kept is not None and kept.is_file():
            teacher.load_state_dict(load_tensors(kept))
        else:
            settings = FitSettings(epochs=self.teacher_epochs)
            fit(teacher, Labels(), whole, val, settings, pace="channels_last")
        if kept is not None:
            write_atomic(kept, dump_tensors(teacher.state_dict()))
        teacher.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return Given(self, train, val, test, teacher.requires_grad_(False))


@dataclass(frozen=True)
class Given:
    """What every side is given."""

    chosen: Set
    train: Dataset
    val: Dataset
    test: Dataset
    teacher: Classifier

    def student(self, seed: int) -> Classifier:
        normalize = Normalize.fit(self.train.inputs, self.train.schema)
        return build_classifier(self.chosen.student, self.train.schema, normalize, seed, "student")


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16
    return images, torch.tensor(found.target)


def idx(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Read MNIST's own format."""
    folder = Path(os.environ["STILLHOUSE_DATA"]) / name
    images = unzipped(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = unzipped(folder / "train-labels-idx1-ubyte.gz", 8)
    return torch.tensor(images).float() / 255, torch.tensor(labels).long()


def unzipped(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


WIDE = {"name": "convnet", "width": 64, "depth": 3}  # 371 k weights
WIDER = {"name": "convnet", "width": 80, "depth": 3}  # 581 k weights
MLP = {"name": "mlp", "width": 52, "depth": 2}  # 6.7 k
SMALL = {"name": "convnet", "width": 8, "depth": 3}  # 6.3 k
LARGER = {"name": "convnet", "width": 16, "depth": 3}  # 24 k
DIGITS, IDX = (1078, 180, 539), (1500, 1000, 4000)
SETS = {
    "mlp-8": Set("digits", MLP, WIDE, DIGITS, 30, 64, 1078, 30),
    "cnn-8": Set("digits", SMALL, WIDE, DIGITS, 15, 64, 1078, 30),
    "cnn-28": Set("mnist", LARGER, WIDER, IDX, 5, 32, 10000, 3),
    "cnn-28-fashion": Set("fashion_mnist", LARGER, WIDER, IDX, 5, 32, 10000, 3),
}
