"""Rows as a table that expectations can speak about: the columns themselves, or statistics, one row
an image.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.dataset import UNLABELLED, Dataset, known
from stillhouse.data.schema import Feature, Schema
from stillhouse.validation.leakage import Leakage

# Our own columns stand in brackets, so that they cannot be taken for a column of the data.
ROW, SPLIT, TARGET, EQUAL_ROWS, SPLITS_OF_ROW, SPLITS_OF_GROUP, LATE = (
    "(row)",
    "(split)",
    "(target)",
    "(equal rows)",
    "(splits of the row)",
    "(splits of the group)",
    "(late)",
)
CLASS, ROWS, SHARE, LABELLED = (
    "(class)",
    "(rows of the class)",
    "(share of the class)",
    "(labelled rows of the class)",
)
STATISTICS = ("mean", "std", "min", "max", "n_bad", "n_outside")
# columns; above, a table is judged by statistics too, or its thousands of expectations would take a
# minute
WIDE = 200

Columns = dict[str, Any]


def by_statistics(schema: Schema) -> bool:
    """Whether rows are judged by their statistics: images, series, and tables of more than 200
    columns.
    """
    return not schema.tabular or len(schema.features) > WIDE


def rows_table(
    splits: Mapping[str, Dataset], leakage: Leakage, also: frozenset[str] = frozenset()
) -> Columns:
    """Return column name → values [N] of all rows, train first.

    Args:
        splits: train, val and test; at least one row.
        leakage: What `leakage.find` said of them.
        also: Columns of a wide table that are wanted beside its statistics.
    """
    datasets = list(splits.values())
    schema = datasets[0].schema
    inputs = np.concatenate([dataset.inputs.numpy() for dataset in datasets])
    targets = np.concatenate([dataset.targets.numpy() for dataset in datasets])
    columns: Columns = {
        ROW: np.concatenate([dataset.rows.numpy() for dataset in datasets]),
        SPLIT: np.array([name for name, dataset in splits.items() for _ in range(len(dataset))]),
        TARGET: _targets(targets, schema),
        EQUAL_ROWS: np.array(leakage.keys),
        SPLITS_OF_ROW: leakage.equal,
    }
    if leakage.groups is not None:
        columns[SPLITS_OF_GROUP] = leakage.groups
    if leakage.late is not None:
        columns[LATE] = leakage.late
    if by_statistics(schema):
        columns.update(_statistics(inputs, schema))
    shown = [
        at
        for at, f in enumerate(schema.features)
        if schema.tabular and (not by_statistics(schema) or f.name in also)
    ]
    columns.update(
        {
            schema.features[at].name: _column(inputs[:, at].astype(np.float64), schema.features[at])
            for at in shown
        }
    )
    return columns


def classes_table(splits: Mapping[str, Dataset]) -> Columns:
    """Return column name → values [C]: the labelled rows of each class, as the student may see
    them.
    """
    classes = next(iter(splits.values())).classes
    counts = {
        name: np.bincount(d.targets[known(d.targets)].numpy(), minlength=len(classes))
        for name, d in splits.items()
    }
    rows = np.sum(list(counts.values()), axis=0)
    return {
        CLASS: np.array(classes, dtype=object),
        ROWS: rows,
        SHARE: rows / max(int(rows.sum()), 1),
        LABELLED: counts["train"],
    }


def _targets(targets: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Return class names, or quantities as they are."""
    if schema.quantity is not None:
        return targets.astype(np.float64)
    return _names(targets.astype(np.float64), schema.classes, UNLABELLED)


def _names(
    codes: NDArray[np.float64], names: tuple[str, ...], absent: float | None = None
) -> NDArray[Any]:
    """Return names for codes [N]; None where missing, `code 7` where no name is behind it."""
    known = {float(at): name for at, name in enumerate(names)}
    if absent is not None:
        codes = np.where(codes == absent, np.nan, codes)
    return np.array(
        [None if np.isnan(code) else known.get(code, f"code {code:g}") for code in codes],
        dtype=object,
    )


def _column(values: NDArray[np.float64], feature: Feature) -> Any:
    """A category by names; whole numbers as integers; the rest as it is."""
    if feature.kind == "category":
        return _names(values, feature.categories)
    if feature.kind != "integer":
        return values
    if bool((np.abs(values) < 2**62).all()) and bool((values == np.round(values)).all()):
        return values.astype(np.int64)
    return np.array([_whole(value) for value in values.tolist()], dtype=object)


def _whole(value: float) -> int | float | None:
    """A value of an integer column: None where missing, and itself where it is no whole number, so
    that its row is named.
    """
    if np.isnan(value):
        return None
    return int(value) if value.is_integer() else value


def _statistics(inputs: NDArray[np.float32], schema: Schema) -> Columns:
    """Mean, std, min and max of each row's finite values; how many values are not finite, and how
    many lie outside the schema's bounds.
    """
    flat = (
        np.moveaxis(inputs, schema.feature_axis, 1)
        .reshape(len(inputs), len(schema.features), -1)
        .astype(np.float64)
    )
    low = np.array([-np.inf if f.low is None else f.low for f in schema.features])[None, :, None]
    high = np.array([np.inf if f.high is None else f.high for f in schema.features])[None, :, None]
    may_miss = np.array([f.missing for f in schema.features])[None, :, None]
    finite = np.isfinite(flat)
    count = np.maximum(finite.sum(axis=(1, 2)), 1)
    known = np.where(finite, flat, 0.0)
    mean = known.sum(axis=(1, 2)) / count
    spread = np.where(finite, flat - mean[:, None, None], 0.0)
    none = ~finite.any(axis=(1, 2))
    return {
        "mean": np.where(none, np.nan, mean),
        "std": np.where(none, np.nan, np.sqrt((spread**2).sum(axis=(1, 2)) / count)),
        "min": np.where(none, np.nan, np.where(finite, flat, np.inf).min(axis=(1, 2))),
        "max": np.where(none, np.nan, np.where(finite, flat, -np.inf).max(axis=(1, 2))),
        "n_bad": (~finite & ~(np.isnan(flat) & may_miss)).sum(axis=(1, 2)),
        "n_outside": (finite & ((flat < low) | (flat > high))).sum(axis=(1, 2)),
    }
