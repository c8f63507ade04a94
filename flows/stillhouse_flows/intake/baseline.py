"""What a quick model reaches on held-out rows: the ground on which bounds are chosen."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.evaluation import labels
from stillhouse.evaluation.metrics import balanced_accuracy
from stillhouse.evaluation.ranking import auc
from stillhouse.models.normalize import Normalize
from stillhouse.teachers.estimators import Model, trained

ROWS = 4000  # that it learns from, and that it is asked about
TABLE_ROWS, TABLE_CELLS = 20_000, 10_000_000  # of a table, whose rows are quick to learn from
# Accuracy says little where one class has more than this share of the rows, or the rarest less than
# this part of an equal share.
MAIN, RARE, MANY = 0.8, 0.35, 10
MAIN_OF_TWO = 0.7  # of two classes: who says nothing else looks good already
EVEN = (False, 1.0, 1)  # nothing is rare, and each row counts
SIGNAL = 0.03  # above guessing, below which a quick model found next to nothing
BOOSTING, LINE = "gradient boosting", "a straight line"
BOOSTED = Model("gradient_boosting", 40, 4, None, balanced=False, seed=0)
STRAIGHT = Model("logistic_regression", None, None, None, balanced=False, seed=0)
FOREST = Model("random_forest", 40, 12, None, balanced=False, seed=0)


@dataclass(frozen=True)
class Baseline:
    """A quick model's marks.

    Attributes:
        name: What it was.
        metric: `accuracy`; where classes are uneven `balanced_accuracy`, or `auc` of two; `r2` of a
            quantity; `map` of several labels a row.
        reached: On val.
        chance: What guessing reaches in that metric: the most frequent class, one in C, an even
            ranking, the mean.
        rare: Whether a class is rare.
        smallest: Share of the rarest class.
        classes: How many there are.
        alike: How many rows of val say as much as one that stands alone: rows of one group are
            right and wrong together. At least 1.
    """

    name: str
    metric: str
    reached: float
    chance: float
    rare: bool
    smallest: float
    classes: int
    alike: float = 1.0

    @property
    def found(self) -> bool:
        """Whether the quick model is clearly better than guessing."""
        return self.reached >= self.chance + SIGNAL

    def counted(self, rows: int) -> float:
        """Return how many rows stand behind the metric: with a rare class little more than its."""
        return rows * min(self.smallest * self.classes, 1.0) if self.rare else rows


def measure(train: Dataset, val: Dataset) -> Baseline:
    """Return what the better of a few quick models reaches: of tables gradient boosting or a
    straight line, of others a small forest.

    Args:
        train: With all targets; of many rows, some are drawn.
        val: Held-out rows.
    """
    rows, asked = some(train), some(val)
    if train.schema.task == "regression":
        line, trees = _line(rows, asked), _r2(_asked(rows, asked, BOOSTED), asked)
        found = Baseline(LINE, "r2", line, 0.0, False, 1.0, 1)
        return found if line >= trees else replace(found, name=BOOSTING, reached=trees)
    if train.schema.labels:
        return _of_labels(rows, asked)
    shares = torch.bincount(train.labelled.targets, minlength=len(train.classes)).double()
    shares /= shares.sum()
    few = len(shares) < MANY and float(shares.min()) * len(shares) < RARE
    rare = few or float(shares.max()) > (MAIN_OF_TWO if len(shares) == 2 else MAIN)
    tried = _tried(train)
    said = rare, float(shares.min()), len(shares)
    made = [
        Baseline(name, *_marks(logits, asked, shares, rare), *said, _alike(logits, asked))
        for name, model in tried.items()
        for logits in [_asked(rows, asked, replace(model, balanced=rare))]
    ]
    return max(made, key=lambda each: each.reached)


def _tried(train: Dataset) -> dict[str, Model]:
    table = train.schema.kind == "table"
    return {BOOSTING: BOOSTED, LINE: STRAIGHT} if table else {"a small forest": FOREST}


def _of_labels(rows: Dataset, asked: Dataset) -> Baseline:
    """Return the better one by mean average precision; guessing reaches a label's share."""
    seen = [part[~part.isnan()].double() for part in asked.targets.T]
    shares = [float(each.mean()) for each in seen if len(each) and bool(each.any())]
    chance = sum(shares) / len(shares)
    made = [
        Baseline(name, "map", _map(_asked(rows, asked, model), asked), chance, *EVEN)
        for name, model in _tried(rows).items()
    ]
    return max(made, key=lambda each: each.reached)


def _map(odds: Tensor, asked: Dataset) -> float:
    return labels.scores(odds, asked.targets)["map"]


def _asked(rows: Dataset, asked: Dataset, model: Model) -> Tensor:
    """Return the answers of a quick model that learned from rows."""
    made = trained(model, rows.inputs, rows.targets, rows.schema)
    return made.logits(asked.inputs, asked.rows)


def _r2(told: Tensor, asked: Dataset) -> float:
    targets = asked.targets.double()
    missed = (told[:, 0].double() - targets).square().sum()
    return float(1 - missed / (targets - targets.mean()).square().sum())


def _marks(logits: Tensor, asked: Dataset, shares: Tensor, rare: bool) -> tuple[str, float, float]:
    if rare and len(shares) == 2:
        scores = (logits[:, 1] - logits[:, 0]).double().numpy()
        return "auc", auc(scores, (asked.targets == 1).numpy()), 0.5
    if rare:
        return "balanced_accuracy", balanced_accuracy(logits, asked.targets), 1 / len(shares)
    right = (logits.argmax(1) == asked.targets).double().mean()
    return "accuracy", float(right), float(shares.max())


def _alike(logits: Tensor, asked: Dataset) -> float:
    """Return the design effect of rows that come in groups: how much more the share of right
    answers varies than that of as many rows, each for itself.

    Source:
        Kish 1965, Survey Sampling, section 5.4; the clusters' variance as of a ratio.
    """
    right = (logits.argmax(1) == asked.targets).double()
    missed = right - right.mean()
    alone = float(missed.square().sum())
    if asked.groups is None or not alone:
        return 1.0
    of = torch.unique(asked.groups, return_inverse=True)[1]
    count = int(of.max()) + 1
    if count < 2:
        return 1.0
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, of, missed)
    return max(1.0, float(sums.square().sum()) / alone * count / (count - 1))


def _line(rows: Dataset, asked: Dataset) -> float:
    """Return R² of least squares on encoded rows, with a little ridge."""
    encode = Normalize.fit(rows.inputs, rows.schema)
    known, held = (_one(encode(part.inputs)) for part in (rows, asked))
    ridge = torch.eye(known.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(known.T @ known + ridge, known.T @ rows.targets.double())
    missed = (held @ weights - asked.targets.double()).square().sum()
    spread = (asked.targets.double() - rows.targets.double().mean()).square().sum()
    return float(1 - missed / spread)


def _one(encoded: Tensor) -> Tensor:
    flat = encoded.flatten(1).double()
    return torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.float64)], dim=1)


def some(dataset: Dataset) -> Dataset:
    """Return the labelled rows, or of many some."""
    there, most = dataset.labelled, ROWS
    if dataset.schema.tabular:
        most = min(TABLE_ROWS, max(ROWS, TABLE_CELLS // Normalize.empty(dataset.schema).shape[0]))
    if len(there) <= most:
        return there
    order: Tensor = torch.randperm(len(there), generator=torch.Generator().manual_seed(0))
    return there.take(order[:most].sort().values)
