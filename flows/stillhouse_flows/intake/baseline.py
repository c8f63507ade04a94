"""What a quick model reaches on held-out rows: the ground on which bounds are chosen."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.evaluation.metrics import balanced_accuracy
from stillhouse.teachers.sklearn import Sklearn
from stillhouse.teachers.teacher import Lesson

ROWS = 4000  # that it learns from, and that it is asked about
# Accuracy says little where one class has more than this share of the rows, or the rarest less than
# this part of an equal share.
MAIN, RARE, MANY = 0.8, 0.35, 10
SIGNAL = 0.03  # above guessing, below which a quick model found next to nothing


@dataclass(frozen=True)
class Baseline:
    """A quick model's marks.

    Attributes:
        name: What it was.
        metric: `accuracy`, or `balanced_accuracy` where classes are uneven.
        reached: On val.
        chance: What guessing reaches in that metric: always the most frequent class, or one in C.
        rare: Whether a class is rare.
        smallest: Share of the rarest class.
        classes: How many there are.
    """

    name: str
    metric: str
    reached: float
    chance: float
    rare: bool
    smallest: float
    classes: int

    @property
    def found(self) -> bool:
        """Whether the quick model is clearly better than guessing."""
        return self.reached >= self.chance + SIGNAL

    def counted(self, rows: int) -> float:
        """Return how many rows stand behind the metric: with a rare class little more than its."""
        return rows * min(self.smallest * self.classes, 1.0) if self.rare else rows


def measure(train: Dataset, val: Dataset, root: Path) -> Baseline:
    """Return what a small forest, or for tables gradient boosting, reaches.

    Args:
        train: With all targets; of many rows, some are drawn.
        val: Held-out rows.
        root: The folder of params.yaml.
    """
    known, asked = _some(train.labelled), _some(val.labelled)
    shares = torch.bincount(train.labelled.targets, minlength=len(train.classes)).double()
    shares /= shares.sum()
    table = train.schema.kind == "table"
    few = len(shares) < MANY and float(shares.min()) * len(shares) < RARE
    rare = few or float(shares.max()) > MAIN
    teacher = Sklearn(
        estimator="gradient_boosting" if table else "random_forest",
        trees=40,
        depth=4 if table else 12,
        balanced=rare,
    )
    lesson = Lesson(known, asked, root, root, 0, lambda done, total, note: None)
    oracle = teacher.recall(teacher.learn(lesson), train.schema)
    logits = oracle.logits(asked.inputs, asked.rows)
    accuracy = float((logits.argmax(1) == asked.targets).double().mean())
    return Baseline(
        "gradient boosting" if table else "a small forest",
        "balanced_accuracy" if rare else "accuracy",
        float(balanced_accuracy(logits, asked.targets)) if rare else accuracy,
        1 / len(train.classes) if rare else float(shares.max()),
        rare,
        float(shares.min()),
        len(train.classes),
    )


def _some(dataset: Dataset) -> Dataset:
    if len(dataset) <= ROWS:
        return dataset
    order: Tensor = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    return dataset.take(order[:ROWS].sort().values)
