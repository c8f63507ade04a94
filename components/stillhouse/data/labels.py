"""Several labels a row: from a matrix of numbers, or from columns of cells, to 1, 0 and NaN."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.data.columns import Column
from stillhouse.errors import SourceError

MAX_LABELS = 1000
YES = frozenset({"1", "1.0", "true", "yes", "y", "t"})
NO = frozenset({"0", "0.0", "false", "no", "n", "f"})


def labels_of(
    values: NDArray[Any] | None, names: Sequence[str], rows: int, where: str
) -> tuple[Tensor, tuple[str, ...]]:
    """Return labels [N, L], float32, and their names by column.

    Args:
        values: [N, L] of 1 and 0, or of booleans; −1 or NaN where nobody knows. None: no row has
            any that is known.
        names: By column; empty: `label 0` and so on.
        rows: N.
        where: The array, for messages.

    Raises:
        SourceError: It is no such matrix, or the names are not one a column, each once.
    """
    if values is None:
        return torch.full((rows, len(names)), torch.nan), _named(names, len(names), where)
    if values.ndim != 2 or len(values) != rows or values.dtype.kind not in "biuf":
        raise SourceError(
            f"it is {values.dtype} {list(values.shape)}, and several labels a row are a matrix of "
            f"0 and 1, [{rows}, L].",
            where=where,
            fix="Save such a matrix, or set prepare.source.task: classification.",
        )
    wide = values.astype(np.float64)
    wide[wide == -1] = np.nan
    odd = ~np.isnan(wide) & (wide != 0) & (wide != 1)
    if odd.any():
        row, at = (int(i) for i in np.argwhere(odd)[0])
        raise SourceError(
            f"row {row} holds {wide[row, at]:g} in column {at}, and a label is 1 or 0.",
            where=where,
            fix="Write 1 where the row has the label, 0 where not, −1 or NaN where nobody knows.",
        )
    return torch.from_numpy(wide.astype(np.float32)), _named(names, values.shape[1], where)


def _named(names: Sequence[str], columns: int, where: str) -> tuple[str, ...]:
    if names and (len(names) != columns or len(set(names)) != columns):
        raise SourceError(
            f"classes names {len(set(names))} labels, the matrix has {columns} columns.",
            where=where,
            fix="Name each label once, or leave classes out.",
        )
    _require_count(columns, where)
    return tuple(names) or tuple(f"label {at}" for at in range(columns))


def labels_of_columns(columns: Sequence[Column], where: str) -> tuple[Tensor, tuple[str, ...]]:
    """Return labels [N, L], float32, and their names, the columns'; a missing cell is one that
    nobody knows.

    Raises:
        SourceError: A cell says neither yes nor no; the line is named.
    """
    _require_count(len(columns), where)
    told = torch.tensor([[_told(column, cell) for cell in column.cells] for column in columns])
    return told.T.contiguous(), tuple(column.name for column in columns)


def _told(column: Column, cell: str | None) -> float:
    if cell is None:
        return float("nan")
    said = cell.strip().lower()
    if said in YES or said in NO:
        return float(said in YES)
    raise SourceError(
        f"{column.each} {column.line_of(cell)} holds '{cell}', and a label is 1 or 0.",
        where=column.where,
        fix="Write 1 or 0, yes or no, true or false; an empty cell where nobody knows.",
    )


def _require_count(columns: int, where: str) -> None:
    if columns < 2:
        raise SourceError(
            f"there are {columns} labels: one alone is a yes or no, hence two classes.",
            where=where,
            fix="Set prepare.source.task: classification, or name more labels.",
        )
    if columns > MAX_LABELS:
        raise SourceError(
            f"there are {columns:,} labels, more than {MAX_LABELS:,}.",
            where=where,
            fix="Leave out the rarest.",
        )


def several_labels(values: NDArray[Any]) -> bool:
    """Return whether an array tells of each row which labels it has, and of some row not just
    one: then it is no one-hot row of a class.
    """
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return False
    told = np.where(np.isnan(values), -1, values) if values.dtype.kind == "f" else values
    if not np.isin(told, (-1, 0, 1)).all():
        return False
    return bool(((told == 1).sum(axis=1) != 1).any())
