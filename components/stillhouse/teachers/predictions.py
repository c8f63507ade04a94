"""A teacher that was asked elsewhere: its answers for every row, in a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse import config
from stillhouse.config import InputFile
from stillhouse.data.archive import read_arrays
from stillhouse.data.delimited import Cells, read_cells
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.probabilities import (
    ROUNDING,
    SUM_TOLERANCE,
    Form,
    form_asked,
    outputs_of,
)
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_tensors, load_tensors, parse_tensors

ANSWERS = "predictions.safetensors"
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a file of predictions holds.

    Attributes:
        rows: [N], the rows' numbers in their source.
        values: [N, C]: probabilities, or a quantity's values.
        classes: Names by column; empty where the file has none.
    """

    rows: NDArray[np.int64]
    values: Numbers
    classes: tuple[str, ...]


class Predictions(Teacher):
    """Reads probabilities, or a quantity's values, by row.

    Args:
        path: `.npz` with `rows` [N], `probabilities` [N, C] and, optionally, `classes` [C];
            `.safetensors` with the first two; or a CSV with a column `rows` and one a class, named
            as the class. Of a quantity `values` [N] or [N, C], or a column `mean` (of quantiles
            `q0.1` and so on). Rows are numbered from 0 in the data's source.
        classes: Class names by column, for a file without them; empty: the data's order.
    """

    def __init__(self, *, path: InputFile, classes: tuple[str, ...] = ()) -> None:
        self.path, self.classes = path, classes

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        path = config.file_of(self.path, lesson.root)
        found = read(path, called(lesson.train.schema))
        if found.classes and self.classes and found.classes != self.classes:
            raise SourceError(
                "the file names its classes otherwise than the setting `classes` does.",
                where=path.name,
                fix="Leave the setting out.",
            )
        schema = lesson.train.schema
        require_count(found.values.shape[1], schema, where=path.name)
        check(found, schema, where=path.name)
        columns = order(found.classes or self.classes, schema, where=path.name)
        ordered = torch.from_numpy(found.values[:, columns])
        return {
            ANSWERS: dump_tensors(
                {"rows": torch.from_numpy(found.rows), form_asked(schema): ordered.float()}
            )
        }

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        held = parse_tensors(files[ANSWERS], where=ANSWERS)
        values = held[form_asked(schema)]
        require_count(values.shape[1], schema, where=ANSWERS)
        return Listed(held["rows"], values, form_asked(schema))


class Listed(Oracle):
    """Looks its answers up; it cannot say anything about a row that is not in the list, nor about
    changed inputs.
    """

    by_row = True

    def __init__(self, rows: Tensor, values: Tensor, form: Form) -> None:
        self._rows, at = rows.sort()
        self._logits = outputs_of(values[at], form)

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return self._logits[self._place(rows)]

    def answers(self, rows: Tensor) -> Tensor:
        return self._rows[self._place(rows)] == rows

    def _place(self, rows: Tensor) -> Tensor:
        return torch.searchsorted(self._rows, rows).clamp(max=len(self._rows) - 1)


# --- the three forms; told by their bytes, never by their names ---------------------------------


def called(schema: Schema) -> str:
    """Return what a user's file calls its array of answers: `probabilities`, or `values`."""
    return "probabilities" if schema.quantity is None else "values"


def read(path: Path, key: str) -> Answers:
    """Return what a file of predictions holds.

    Args:
        path: The file.
        key: See `called`.

    Raises:
        SourceError: It is missing, broken, a pickle, or lacks rows or answers.
    """
    if not path.is_file():
        raise SourceError(
            f"there is no file '{path.name}'.",
            where=str(path),
            fix="Check the path; relative ones start at params.yaml.",
        )
    with path.open("rb") as file:
        magic = file.read(9)
    if magic[:2] == b"PK":
        return _of_arrays(dict(read_arrays(path, ("rows", key, "classes"))), key, path.name)
    if magic[8:9] == b"{":
        arrays = {name: tensor.numpy() for name, tensor in load_tensors(path).items()}
        return _of_arrays(arrays, key, path.name)
    if magic[:1] in (b"\x80", b"\x93"):
        raise SourceError(
            "the file is a pickle or a bare array.",
            where=path.name,
            fix=f"Save it with np.savez(file, rows=…, {key}=…).",
        )
    return _of_cells(read_cells(path, target="rows"))


def _of_arrays(held: dict[str, NDArray[Any]], key: str, where: str) -> Answers:
    for name in ("rows", key):
        if name not in held:
            raise SourceError(
                f"there is no array '{name}'.",
                where=where,
                fix=f"Save it with np.savez(file, rows=…, {key}=…).",
            )
    rows, values = held["rows"], held[key]
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise SourceError(
            f"'rows' must be whole numbers [N], not {rows.dtype} {list(rows.shape)}.",
            where=where,
            fix="Save the rows' numbers.",
        )
    if key == "values" and values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind != "f" or len(values) != len(rows):
        found = f"{values.dtype} {list(values.shape)}"
        raise SourceError(
            f"'{key}' must be floats [{len(rows)}, C], one row each, not {found}.",
            where=where,
            fix="Save softmax outputs." if key == "probabilities" else "Save the model's answers.",
        )
    names = held.get("classes", np.empty(0, dtype=str)).ravel().tolist()
    return Answers(
        rows.astype(np.int64), values.astype(np.float64), tuple(str(name) for name in names)
    )


def _of_cells(cells: Cells) -> Answers:
    rows = cells.column("rows", "rows' numbers")
    names = tuple(name for name in cells.columns if name != "rows")
    numbers = [[_number(cells, name, at) for name in names] for at in range(len(rows))]
    return Answers(
        np.array([_whole(cells, at) for at in range(len(rows))], dtype=np.int64),
        np.array(numbers, dtype=np.float64).reshape(len(rows), -1),
        names,
    )


def _number(cells: Cells, name: str, at: int) -> float:
    text = cells.columns[name][at]
    try:
        return float(text)
    except ValueError:
        place = f"{cells.file}, line {cells.lines[at]}, column '{name}'"
        raise SourceError(f"'{text}' is no number.", where=place, fix="Write a number.") from None


def _whole(cells: Cells, at: int) -> int:
    text = cells.columns["rows"][at]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise SourceError(
            f"'{text}' is no row's number.",
            where=f"{cells.file}, line {cells.lines[at]}, column 'rows'",
            fix="Rows are numbered from 0.",
        )
    return int(text)


def check(found: Answers, schema: Schema, *, where: str) -> None:
    """Refuse what is no list of answers.

    Raises:
        SourceError: A row is there twice, or its values are not finite or, of classes and labels,
            not in [0, 1] or, of classes, do not sum to 1; the row is named.
    """
    if not len(found.rows):
        raise SourceError(
            "the file holds no row.", where=where, fix="Bring an answer for every row."
        )
    numbers, counts = np.unique(found.rows, return_counts=True)
    if (counts > 1).any():
        raise SourceError(
            f"row {numbers[counts > 1][0]} is there twice.",
            where=where,
            fix="Leave one answer a row.",
        )
    of_classes = schema.quantity is None
    asked = {"probabilities": 3, "chances": 2, "values": 1}
    faults = _faults(found.values)[: asked[form_asked(schema)]]
    for bad, why in faults:
        if bad.any():
            shown = ", ".join(f"{value:.4g}" for value in found.values[bad][0][:5])
            said = (
                f"the answer to row {found.rows[bad][0]} {why}: {shown} … ({int(bad.sum())} such "
                "rows)."
            )
            made = "sigmoid" if schema.labels else "softmax"
            fix = f"Save probabilities ({made}), not logits." if of_classes else "Mend the file."
            raise SourceError(said, where=where, fix=fix)


def _faults(values: Numbers) -> list[tuple[Any, str]]:
    return [
        (~np.isfinite(values).all(axis=1), "is not a finite number"),
        (((values < 0) | (values > 1 + ROUNDING)).any(axis=1), "is not in [0, 1]"),
        (
            np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE,
            f"does not sum to 1 within {SUM_TOLERANCE}",
        ),
    ]
