"""Rows to be answered: inputs alone, read as a schema says, from a file that a user has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.data.archive import array_names, read_arrays
from stillhouse.data.columns import MISSING, Column, encode
from stillhouse.data.delimited import Cells, read_cells
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SourceError, nearest


@dataclass(frozen=True)
class Rows:
    """Rows to be answered.

    Attributes:
        inputs: [N, *schema.shape], float32, in data space; NaN where a cell is missing, or holds a
            category that was never seen.
        refused: Row from 0 → why it cannot be answered: a cell is missing or unknown in a column
            in which none was missing when the model learned.
        notes: What was done with cells that are unknown but can be answered.
        names: Of the rows, where they have any: files, or windows of a recording.
    """

    inputs: Tensor
    refused: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_rows(path: Path, schema: Schema) -> Rows:
    """Return the rows of a file, told by the schema alone; a source reads its own forms too.

    A category that was never seen counts as missing. A missing cell is answered where the model has
    learned what one means, that is where cells of its column were missing in training; elsewhere
    the row is not answered, and the others are.

    Args:
        path: `.npz` with an array `inputs`, or a delimited text file with the schema's columns by
            name, in any order; other columns, such as the target, are not read.
        schema: What the model learned from.

    Raises:
        SourceError: The file is missing or broken, a column is missing, a cell is no number, or
            rows have another shape.
    """
    if path.is_dir():
        raise SourceError(
            f"'{path}' is a folder; the model takes a file of {schema.kind} rows.",
            where=path.name,
            fix="Name the file.",
        )
    if not path.is_file():
        raise SourceError(
            f"the file '{path}' is missing: there is no such file.",
            where=path.name,
            fix="Check the path.",
        )
    if path.suffix == ".npz":
        return rows_of_inputs(_npz(path, schema), schema, path.name)
    require_tabular(schema, path.name)
    return rows_of_cells(read_cells(path, target=schema.features[0].name), schema)


def rows_of_inputs(inputs: Tensor, schema: Schema, where: str) -> Rows:
    """Return rows [N, *shape] as they are, with those named that cannot be answered.

    Raises:
        SourceError: An image or a series has a value that is no number, or an image others than 0
            to 1.
    """
    bad = (inputs.isnan() & ~_may_miss(schema)) | inputs.isinf()
    rows = bad.flatten(1).any(1).nonzero().flatten().tolist()
    if rows and not schema.tabular:
        raise SourceError(
            f"row {rows[0]} has a missing or infinite value where the model learned none.",
            where=where,
            fix="Fill it, or leave the row out.",
        )
    if schema.kind == "image":
        _require_bounds(inputs, where)
    why = "a value is missing or infinite where the model learned none"
    return Rows(inputs, dict.fromkeys(rows, why))


def _may_miss(schema: Schema) -> Tensor:
    if not schema.tabular:
        return torch.tensor(False)
    return torch.tensor([feature.missing for feature in schema.features])


def _require_bounds(inputs: Tensor, where: str) -> None:
    """A model of images in [0, 1] would answer bytes without a word, and wrongly."""
    outside = ((inputs < 0) | (inputs > 1)).flatten(1).any(1)
    if outside.any():
        row = int(outside.nonzero()[0])
        low, high = float(inputs[row].min()), float(inputs[row].max())
        raise SourceError(
            f"row {row} lies in [{low:g}, {high:g}]; the model takes images in [0, 1].",
            where=where,
            fix="Divide by 255, or by what prepare.source.scale says.",
        )


def _npz(path: Path, schema: Schema) -> Tensor:
    arrays = read_arrays(path, ("inputs",))
    if "inputs" not in arrays:
        raise SourceError(
            f"there is no array 'inputs' among {', '.join(array_names(path)[:12]) or 'none'}.",
            where=path.name,
            fix="Save it with np.savez(file, inputs=…).",
        )
    return shaped(arrays["inputs"], schema, path.name)


def shaped(found: NDArray[Any], schema: Schema, where: str) -> Tensor:
    """Return an array as rows [N, *schema.shape], float32.

    Raises:
        SourceError: It has another shape, or holds no numbers.
    """
    if found.dtype.kind not in "fiub" or tuple(found.shape[1:]) != schema.shape:
        said = (
            f"its rows are {found.dtype} of shape {tuple(found.shape[1:])}; the model takes "
            f"{schema.shape}."
        )
        raise SourceError(said, where=where, fix="Prepare rows as for training.")
    return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))


def require_tabular(schema: Schema, where: str) -> None:
    """Refuse a file of columns for a model of other rows.

    Raises:
        SourceError: It takes none.
    """
    if not schema.tabular:
        said = f"a table's file; the model takes {schema.kind} rows of shape {schema.shape}."
        raise SourceError(said, where=where, fix="Give an .npz with `inputs`.")


def rows_of_cells(
    cells: Cells, schema: Schema, *, missing: Collection[str] = MISSING, decimal: str = "."
) -> Rows:
    """Return the rows of a table's cells; errors as `read_rows`.

    Args:
        cells: As text.
        schema: What the model learned from.
        missing: Texts that mean a missing cell.
        decimal: The decimal mark.
    """
    require_columns(cells, schema)
    values: list[Tensor] = []
    refused: dict[int, str] = {}
    notes: list[str] = []
    for feature in schema.features:
        found = [None if c in missing else c for c in cells.columns[feature.name]]
        column = Column(feature.name, found, cells.lines, cells.file, decimal, cells.each)
        unknown = _unknown(column, feature)
        values.append(_values(column, feature))
        if not feature.missing:
            refused = {**_unanswered(column, feature, unknown), **refused}
        elif unknown:
            notes.append(_note(column, unknown))
    return Rows(torch.stack(values, dim=1), refused, tuple(notes))


def require_columns(cells: Cells, schema: Schema) -> None:
    """Refuse a file that lacks a column that the model takes.

    Raises:
        SourceError: It is named.
    """
    lacking = [f.name for f in schema.features if f.name not in cells.columns]
    if lacking:
        raise SourceError(
            f"there is no column '{lacking[0]}'.",
            where=cells.file,
            fix=nearest(lacking[0], list(cells.columns)),
        )


def _unknown(column: Column, feature: Feature) -> list[int]:
    """Return the rows that hold a category that was never seen."""
    if feature.kind != "category":
        return []
    seen = set(feature.categories)
    return [at for at, cell in enumerate(column.cells) if cell is not None and cell not in seen]


def _unanswered(column: Column, feature: Feature, unknown: list[int]) -> dict[int, str]:
    """Return why rows of a column in which no cell was missing in training are not answered."""
    learned = "the model never learned what it means where none is given"
    gone = {
        at: f"{column.each} {column.lines[at]}: '{feature.name}' is missing, and {learned}"
        for at, cell in enumerate(column.cells)
        if cell is None
    }
    odd = {
        at: f"{column.each} {column.lines[at]}: '{column.cells[at]}' is no '{feature.name}' that "
        "the model ever saw"
        for at in unknown
    }
    return {**gone, **odd}


def _note(column: Column, unknown: list[int]) -> str:
    first = unknown[0]
    more = f" and {len(unknown) - 1} more cells" if len(unknown) > 1 else ""
    were = "were" if len(unknown) > 1 else "was"
    return (
        f"column '{column.name}': '{column.cells[first]}' ({column.each} {column.lines[first]})"
        f"{more} {were} never seen in training, and count as missing."
    )


def _values(column: Column, feature: Feature) -> Tensor:
    if feature.kind != "category":
        # A whole-number column may hold fractions in new rows; the model does not mind.
        return torch.from_numpy(
            encode(column, "binary" if feature.kind == "binary" else "number")[0]
        )
    code = {name: float(at) for at, name in enumerate(feature.categories)}
    return torch.tensor(
        [torch.nan if cell is None else code.get(cell, torch.nan) for cell in column.cells],
        dtype=torch.float32,
    )
