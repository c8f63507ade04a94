"""Columns that tell the target by themselves: a cause of death that only the dead have. More often
something that is written down afterwards than luck, and then a model is useless where it is needed.
"""

import numpy as np
from torch import Tensor

from stillhouse.data.dataset import Dataset

TOLD = 0.98  # of what guessing misses, or of a quantity's variance
LEAVES = 32  # of a column's tree: so many values, or ranges of them, are told apart


def giveaways(train: Dataset, val: Dataset) -> dict[str, float]:
    """Return columns of a table of which one alone tells nearly all of the target, and how much of
    it on held-out rows: of classes the share of rows, of a quantity the share of its variance. That
    a cell is missing tells as much as what stands in others.

    Args:
        train: Rows of a table with one target, all known.
        val: Held-out rows.
    """
    found = {}
    for place, feature in enumerate(train.schema.features):
        known, held = (_column(part.inputs, place) for part in (train, val))
        reached, guessed = _told(known, train.targets.numpy(), held, val.targets.numpy())
        if reached - guessed >= TOLD * (1 - guessed):
            found[feature.name] = reached
    return found


def _column(inputs: Tensor, place: int) -> np.ndarray:
    return inputs[:, place : place + 1].double().numpy()


def _told(
    known: np.ndarray, targets: np.ndarray, held: np.ndarray, wanted: np.ndarray
) -> tuple[float, float]:
    """Return what a small tree on one column comes to, and what guessing does."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if targets.dtype.kind == "i":
        tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, random_state=0).fit(known, targets)
        most = np.bincount(targets).argmax()
        return float((tree.predict(held) == wanted).mean()), float((wanted == most).mean())
    line = DecisionTreeRegressor(max_leaf_nodes=LEAVES, random_state=0).fit(known, targets)
    missed = np.square(line.predict(held) - wanted).sum()
    return float(1 - missed / np.square(wanted - wanted.mean()).sum()), 0.0
