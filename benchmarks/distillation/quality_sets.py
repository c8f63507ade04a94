"""The data of `quality.py`: for each set, one division a number, with a teacher that learned more
than the student may see.
"""

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn

from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data.dataset import UNLABELLED, Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.sources.csv import Csv
from stillhouse.data.sources.idx import Idx
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.normalize import Normalize
from stillhouse.models.stages import evaluating, find
from stillhouse.models.taps import tapped
from stillhouse.teachers.checkpoint import Checkpoint
from stillhouse.teachers.sklearn import Sklearn
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.training.fit import FitSettings, fit, silent
from stillhouse.training.objective import Labels

HERE = Path(__file__).parent
DATA = Path(os.environ.get("STILLHOUSE_DATA") or HERE.parent.parent / "shared" / "data")
# in the order of the teachers' answers
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STAGES = ("early", "middle", "late", "penultimate")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Division:
    """What one number of a set stands for.

    Attributes:
        picked: Rows of the student, labelled or not.
        train: All train rows with their labels, as the teacher has them.
        val: For choosing.
        test: For judging.
        teacher: A torch model, or None: a black box.
        answers: Its logits for `picked`.
        told: Its logits for `test`.
        weights: Of the teacher; 0 where nobody can say.
        features: Of a torch teacher for `picked`, by stage: asked for once, as the flow does.
    """

    picked: Dataset
    train: Dataset
    val: Dataset
    test: Dataset
    teacher: nn.Module | None
    answers: Tensor
    told: Tensor
    weights: int
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def looked_at(self) -> "Division":
        """Return the same with the teacher's features."""
        if self.teacher is None:
            return self
        found: dict[str, list[Tensor]] = {name: [] for name in STAGES}
        with evaluating(self.teacher), torch.no_grad():
            paths = find(self.teacher, self.picked.inputs[:2], STAGES)
            for inputs in torch.split(self.picked.inputs, 256):
                seen = tapped(self.teacher, inputs, set(paths.values())).features
                for name, path in paths.items():
                    found[name].append(seen[path].half())
        return replace(self, features={name: torch.cat(parts) for name, parts in found.items()})


@dataclass(frozen=True)
class Problem:
    """A set.

    Attributes:
        divide: From a number to a division.
        student: The architecture.
        epochs: Of the student, unless the command says otherwise.
        about: In a sentence.
        batch: Rows a step.
    """

    divide: Callable[[int], Division]
    student: Mapping[str, Any]
    epochs: int
    about: str
    batch: int = 128


def _drawn(full: Dataset, seed: int, sizes: tuple[int, ...]) -> list[Dataset]:
    order = torch.randperm(len(full), generator=torch.Generator().manual_seed(seed))
    return [full.take(part) for part in torch.split(order[: sum(sizes)], list(sizes))]


def _few(train: Dataset, each: int, unlabelled: int) -> Dataset:
    """So many labelled rows a class, and others without their labels."""
    codes = range(len(train.classes))
    labelled = torch.cat([torch.nonzero(train.targets == code).flatten()[:each] for code in codes])
    rest = torch.ones(len(train), dtype=torch.bool)
    rest[labelled] = False
    at = torch.cat([labelled, torch.nonzero(rest).flatten()[:unlabelled]])
    picked = train.take(at)
    known = torch.where(torch.arange(len(at)) < len(labelled), picked.targets, UNLABELLED)
    return replace(picked, targets=known)


def _taught(train: Dataset, val: Dataset, test: Dataset, picked: Dataset, **how: Any) -> Division:
    """With a net that learns all labels of `train`."""
    settings = FitSettings(epochs=how["epochs"])
    normalize = Normalize.fit(train.inputs, train.schema)
    teacher = build_classifier(how["spec"], train.schema, normalize, 0, "teacher")
    fit(teacher, Labels(), train, val, settings)
    teacher.requires_grad_(False)
    answers, told = logits_of(teacher, picked.inputs), logits_of(teacher, test.inputs)
    return Division(picked, train, val, test, teacher, answers, told, parameters(teacher))


def _recalled(made: Teacher, train: Dataset, val: Dataset) -> Oracle:
    with tempfile.TemporaryDirectory() as scratch:
        lesson = Lesson(train, val, Path(scratch), Path(scratch), 0, silent)
        return made.recall(made.learn(lesson), train.schema)


def _boosted(train: Dataset, val: Dataset, test: Dataset, picked: Dataset, trees: int) -> Division:
    """With gradient boosting, a black box."""
    made = Sklearn(estimator="gradient_boosting", trees=trees, depth=4)
    oracle = _recalled(made, train, val)
    answers = oracle.logits(picked.inputs, picked.rows)
    return Division(
        picked, train, val, test, None, answers, oracle.logits(test.inputs, test.rows), 0
    )


def digits(number: int, epochs: int = 60) -> Division:
    found = load_digits()
    schema = Schema("image", (1, 8, 8), tuple(map(str, range(10))), (_ink(),))
    inputs = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16
    full = Dataset(inputs, torch.tensor(found.target), schema, torch.arange(len(inputs)))
    test, val, train = _drawn(full, number, (539, 179, 1079))
    spec = {"name": "mlp", "width": 256, "depth": 2}
    return _taught(train, val, test, _few(train, 10, 100), spec=spec, epochs=epochs)


def _ink() -> Feature:
    return Feature("ink", low=0, high=1)


@lru_cache(maxsize=1)
def _fashion() -> Dataset:
    folder = DATA / "fashion_mnist"
    names = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    images, labels = (str(folder / name) for name in names)
    return Idx(images=images, labels=labels).read(folder)


def fashion(number: int) -> Division:
    test, val, train = _drawn(_fashion(), number, (2000, 300, 8000))
    spec = {"name": "mlp", "width": 256, "depth": 2}
    return _taught(train, val, test, _few(train, 10, 1000), spec=spec, epochs=20)


def fashion_full(number: int) -> Division:
    test, val, train = _drawn(_fashion(), number, (2000, 500, 8000))
    spec = {"name": "mlp", "width": 256, "depth": 2}
    return _taught(train, val, test, train, spec=spec, epochs=20)


def adult(number: int) -> Division:
    folder = DATA / "adult"
    drop = ("fnlwgt", "education")
    full = Csv(path=str(folder / "adult_train.csv.gz"), target="income", drop=drop).read(folder)
    test, val, train = _drawn(full, number, (4000, 500, 20000))
    return _boosted(train, val, test, _few(train, 100, 2000), trees=150)


def diabetes(number: int) -> Division:
    folder = DATA / "pima_diabetes"
    full = Csv(path=str(folder / "pima_diabetes.csv"), target="outcome").read(folder)
    test, val, train = _drawn(full, number, (250, 118, 400))
    return _boosted(train, val, test, _few(train, 30, 340), trees=40)


@lru_cache(maxsize=1)
def _objects() -> Dataset:
    inputs, targets = [], []
    with tarfile.open(DATA / "cifar10_jpeg" / "cifar10_train_jpg.tar.gz") as archive:
        for member in archive:
            name = Path(member.name).parent.name
            file = archive.extractfile(member)
            if file is not None and name in OBJECTS and len(inputs) < 15000:
                picture = np.asarray(Image.open(io.BytesIO(file.read())), dtype=np.float32)
                inputs.append(torch.from_numpy(picture).permute(2, 0, 1) / 255)
                targets.append(OBJECTS.index(name))
    colours = tuple(Feature(name, low=0, high=1) for name in ("red", "green", "blue"))
    schema = Schema("image", (3, 32, 32), tuple(OBJECTS), colours)
    rows = torch.arange(len(inputs))
    return Dataset(torch.stack(inputs), torch.tensor(targets), schema, rows)


def objects(number: int) -> Division:
    test, val, train = _drawn(_objects(), number, (1500, 300, 4000))
    picked = _few(train, 30, 2700)
    path = str(DATA / "teachers" / "cifar10_resnet20.safetensors")
    made = Checkpoint(path=path, architecture={"name": "resnet", "depth": 20}, mean=MEAN, std=STD)
    oracle = _recalled(made, train, val)
    if oracle.module is None:
        raise TypeError("a checkpoint is a torch model")
    teacher = oracle.module.requires_grad_(False)
    answers, told = logits_of(teacher, picked.inputs), logits_of(teacher, test.inputs)
    return Division(picked, train, val, test, teacher, answers, told, parameters(teacher))


SETS: dict[str, Problem] = {
    "digits": Problem(
        digits,
        {"name": "mlp", "width": 32, "depth": 2},
        400,
        "digits 8 × 8: 100 labelled and 100 unlabelled rows; the teacher learned 1,079 labels",
    ),
    "fashion": Problem(
        fashion,
        {"name": "mlp", "width": 32, "depth": 2},
        60,
        "Fashion-MNIST: 100 labelled and 1,000 unlabelled rows; the teacher learned 8,000 labels",
    ),
    "fashion_full": Problem(
        fashion_full,
        {"name": "mlp", "width": 32, "depth": 2},
        12,
        "Fashion-MNIST: 8,000 labelled rows, as many as the teacher had",
    ),
    "cifar": Problem(
        objects,
        {"name": "convnet", "width": 8, "depth": 3},
        10,
        "CIFAR-10 as JPEG: 300 labelled and 2,700 unlabelled rows; a ResNet-20 of others",
        batch=32,
    ),
    "adult": Problem(
        adult,
        {"name": "table_mlp", "width": 32, "depth": 2},
        30,
        "Adult: 200 labelled and 2,000 unlabelled rows; gradient boosting learned 20,000 labels",
    ),
    "diabetes": Problem(
        diabetes,
        {"name": "table_mlp", "width": 16, "depth": 1},
        80,
        "Pima diabetes: 60 labelled and 340 unlabelled rows; gradient boosting learned 400 labels",
    ),
}
