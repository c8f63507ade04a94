"""Rows as a table that expectations can speak about: the columns themselves, or statistics, one row
an image.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.dataset import Dataset, known
from stillhouse.data.measures import names_of
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.targets import counts
from stillhouse.validation.drift import holm
from stillhouse.validation.expectation import Rows
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
CLASS, ROWS, SHARE, LABELLED, SHIFT = (
    "(class)",
    "(rows of the class)",
    "(share of the class)",
    "(labelled rows of the class)",
    "(shift of the class)",
)
STATISTICS = ("mean", "std", "min", "max", "n_bad", "n_outside")
# columns; above, a table is judged by statistics too, or its thousands of expectations would take a
# minute
WIDE = 200
SHIFTED = 0.01  # of divisions may be called shifted though they are not

Columns = dict[str, Any]


def by_statistics(schema: Schema) -> bool:
    """Whether rows are judged by their statistics: images, series, and tables of more than 200
    columns.
    """
    return not schema.tabular or len(schema.features) > WIDE


def label_column(name: str) -> str:
    """Return the column that says of each row whether it has a label."""
    return f"(label {name})"


def rows_table(rows: Rows, leakage: Leakage, also: frozenset[str] = frozenset()) -> Columns:
    """Return column name → values [N] of all rows, train first.

    Args:
        rows: Of train, val and test; at least one row.
        leakage: What `leakage.find` said of them.
        also: Columns of a wide table that are wanted beside its statistics.
    """
    schema = rows.schema
    columns: Columns = {
        ROW: rows.numbers,
        SPLIT: rows.split,
        TARGET: _targets(rows),
        EQUAL_ROWS: np.array(rows.equal),
        SPLITS_OF_ROW: leakage.equal,
    }
    if leakage.groups is not None:
        columns[SPLITS_OF_GROUP] = leakage.groups
    if leakage.late is not None:
        columns[LATE] = leakage.late
    columns.update(
        {label_column(name): rows.targets[:, at] for at, name in enumerate(schema.labels)}
    )
    if by_statistics(schema):
        columns.update(_statistics(rows.inputs, schema))
    if not schema.tabular:
        columns.update(rows.measures)
    shown = [
        at
        for at, f in enumerate(schema.features)
        if schema.tabular and (not by_statistics(schema) or f.name in also)
    ]
    columns.update(
        {
            schema.features[at].name: _column(
                rows.inputs[:, at].astype(np.float64), schema.features[at]
            )
            for at in shown
        }
    )
    return columns


def classes_table(splits: Mapping[str, Dataset]) -> Columns:
    """Return column name → values [C]: the labelled rows of each class, as the student may see
    them, and whether its share shifts from train to val and test.
    """
    if labels := next(iter(splits.values())).schema.labels:
        return _labels_table(labels, splits)
    classes = next(iter(splits.values())).classes
    found = {
        name: np.bincount(d.targets[known(d.targets)].numpy(), minlength=len(classes))
        for name, d in splits.items()
    }
    rows = np.sum(list(found.values()), axis=0)
    return {
        CLASS: np.array(classes, dtype=object),
        ROWS: rows,
        SHARE: rows / max(int(rows.sum()), 1),
        LABELLED: found["train"],
        SHIFT: np.array(shifts(found["train"], rows - found["train"]), dtype=object),
    }


def _labels_table(labels: tuple[str, ...], splits: Mapping[str, Dataset]) -> Columns:
    """Return the same of labels: of each the rows that have it among those of which it is known."""
    told = {name: counts(d.targets) for name, d in splits.items()}
    yes, no = (np.array([each[side] for each in told.values()]) for side in (0, 1))
    place = list(told).index("train")
    rows, known_rows = yes.sum(axis=0), (yes + no).sum(axis=0)
    here = np.stack([yes[place], no[place]])
    there = np.stack([rows - yes[place], known_rows - rows - no[place]])
    return {
        CLASS: np.array(labels, dtype=object),
        ROWS: rows,
        SHARE: rows / np.maximum(known_rows, 1),
        LABELLED: yes[place],
        SHIFT: np.array(_shifts(here, there, SHIFTED), dtype=object),
    }


def _targets(rows: Rows) -> NDArray[Any]:
    """Return class names, quantities as they are, or how many labels a row is known to have."""
    if rows.schema.labels:
        return np.where(rows.labelled, (rows.targets == 1).sum(axis=1), np.nan)
    targets = np.where(rows.labelled, rows.targets.astype(np.float64), np.nan)
    return targets if rows.schema.quantity is not None else names_of(targets, rows.schema.classes)


def shifts(
    train: NDArray[np.int64], held_back: NDArray[np.int64], alpha: float = SHIFTED
) -> list[str]:
    """Return for each class [C] how its share shifts from train to what is held back, as a text;
    empty where it does not.

    A shift is a difference that chance makes in less than `alpha` of all divisions, over all
    classes together (Fisher's exact test, Holm-corrected).
    """
    return _shifts(
        np.stack([train, train.sum() - train]),
        np.stack([held_back, held_back.sum() - held_back]),
        alpha,
    )


def _shifts(train: NDArray[np.int64], held_back: NDArray[np.int64], alpha: float) -> list[str]:
    """Return the same of [2, C]: rows that have each, and rows that have not."""
    from scipy.stats import fisher_exact

    p = [
        float(fisher_exact([[int(t), int(h)], [int(u), int(g)]]).pvalue)
        for t, u, h, g in zip(*train, *held_back, strict=True)
    ]
    shares = [part[0] / np.maximum(part.sum(axis=0), 1) for part in (train, held_back)]
    return [
        f"{100 * before:.1f} % of train, {100 * after:.1f} % of val and test"
        if one <= alpha
        else ""
        for one, before, after in zip(holm(p), *shares, strict=True)
    ]


def _column(values: NDArray[np.float64], feature: Feature) -> Any:
    """A category by names; whole numbers as integers, or as they are where some are missing; where
    one is no whole number each as itself, so that its row is named.
    """
    if feature.kind == "category":
        return names_of(values, feature.categories)
    if feature.kind != "integer":
        return values
    known = values[~np.isnan(values)]
    if bool((np.abs(known) < 2**62).all()) and bool((known == np.round(known)).all()):
        return values.astype(np.int64) if len(known) == len(values) else values
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
