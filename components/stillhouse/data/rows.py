"""Rows to be answered: inputs alone, read as a schema says, from a file that a user has."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.archive import array_names, read_arrays
from stillhouse.data.columns import Column, encode
from stillhouse.data.delimited import read_cells
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.sources.csv import MISSING
from stillhouse.errors import SourceError, nearest


def read_rows(path: Path, schema: Schema) -> Tensor:
    """Return inputs [N, *schema.shape], float32, in data space.

    Args:
        path: `.npz` with an array `inputs`, or a delimited text file with the schema's columns by
            name, in any order; other columns are not read.
        schema: What the model learned from.

    Raises:
        SourceError: The file is missing or broken, a column is missing, a category is unknown, or
            rows have another shape or missing values.
    """
    if not path.is_file():
        raise SourceError(
            f"the file '{path}' is missing: there is no such file.",
            where=path.name,
            fix="Check the path.",
        )
    inputs = _npz(path, schema) if path.suffix == ".npz" else _csv(path, schema)
    allowed = (
        torch.tensor([f.missing for f in schema.features])
        if schema.tabular
        else torch.tensor(False)
    )
    bad = (inputs.isnan() & ~allowed) | inputs.isinf()
    if bad.any():
        row = int(bad.flatten(1).any(1).nonzero()[0])
        raise SourceError(
            f"row {row} has a missing or infinite value where the model learned none.",
            where=path.name,
            fix="Fill it, or leave the row out.",
        )
    if schema.kind == "image":
        _require_bounds(inputs, path.name)
    return inputs


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
    found = arrays["inputs"]
    if found.dtype.kind not in "fiub" or tuple(found.shape[1:]) != schema.shape:
        said = (
            f"its rows are {found.dtype} of shape {tuple(found.shape[1:])}; the model takes "
            f"{schema.shape}."
        )
        raise SourceError(said, where=path.name, fix="Prepare rows as for training.")
    return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))


def _csv(path: Path, schema: Schema) -> Tensor:
    if not schema.tabular:
        said = (
            f"a text file holds a table; the model takes {schema.kind} rows of shape "
            f"{schema.shape}."
        )
        raise SourceError(said, where=path.name, fix="Give an .npz with `inputs`.")
    cells = read_cells(path, target=schema.features[0].name)
    missing = [f.name for f in schema.features if f.name not in cells.columns]
    if missing:
        raise SourceError(
            f"there is no column '{missing[0]}'.",
            where=path.name,
            fix=nearest(missing[0], list(cells.columns)),
        )
    columns = [
        Column(
            f.name,
            [None if c in MISSING else c for c in cells.columns[f.name]],
            cells.lines,
            cells.file,
        )
        for f in schema.features
    ]
    return torch.stack(
        [
            _values(column, feature)
            for column, feature in zip(columns, schema.features, strict=True)
        ],
        dim=1,
    )


def _values(column: Column, feature: Feature) -> Tensor:
    if feature.kind != "category":
        # A whole-number column may hold fractions in new rows; the model does not mind.
        return torch.from_numpy(
            encode(column, "binary" if feature.kind == "binary" else "number")[0]
        )
    code = {name: float(at) for at, name in enumerate(feature.categories)}
    for cell in column.cells:
        if cell is not None and cell not in code:
            said = (
                f"line {column.line_of(cell)} holds '{cell}', a category that the model never saw."
            )
            raise SourceError(said, where=column.where, fix=nearest(cell, list(code)))
    return torch.tensor(
        [torch.nan if cell is None else code[cell] for cell in column.cells], dtype=torch.float32
    )
