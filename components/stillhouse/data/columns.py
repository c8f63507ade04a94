"""From a column of text to numbers: its kind is inferred, or given; every odd cell is named by its
line.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.codes import sorted_names, whole
from stillhouse.data.schema import Feature, FeatureKind
from stillhouse.errors import SourceError

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
TRUTH = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0}
MAX_CATEGORIES = 1000
FREE_TEXT = 50  # more distinct texts than this, in more than half of the rows, are no categories


@dataclass(frozen=True)
class Column:
    """A column of text on its way to numbers.

    Attributes:
        name: In the header.
        cells: [N], stripped; a missing cell is None.
        lines: [N], for messages.
        file: For messages.
        decimal: The decimal mark.
        each: What `lines` count, for messages: a text's lines, another file's rows.
    """

    name: str
    cells: list[str | None]
    lines: list[int]
    file: str
    decimal: str = "."
    each: str = "line"

    @property
    def where(self) -> str:
        """The place, for messages."""
        return f"{self.file}, column '{self.name}'"

    def line_of(self, text: str) -> int:
        """Return the first line that holds this cell."""
        return self.lines[self.cells.index(text)]

    def point(self, text: str) -> str:
        """Return a number's text with a point for its decimal mark."""
        return text.replace(",", ".") if self.decimal == "," and "." not in text else text


def infer(column: Column) -> FeatureKind:
    """Return what a column holds: binary (0/1, true/false), integer, number, or category.

    Raises:
        SourceError: It is a column of numbers but for a few cells, or of free text.
    """
    distinct = {cell for cell in column.cells if cell is not None}
    if all(cell.lower() in TRUTH for cell in distinct):
        return "binary"
    odd = {
        cell
        for cell in distinct
        if not NUMBER.fullmatch(column.point(cell)) and not INFINITE.fullmatch(cell)
    }
    if not odd:
        return (
            "integer"
            if all(whole(column.point(cell)) is not None for cell in distinct)
            else "number"
        )
    numeric = len(distinct) - len(odd)
    if numeric > 10 and numeric >= 0.9 * len(distinct):
        cell = min(odd, key=column.line_of)
        fix = (
            f"Mend it, list it under the source's missing, or set kinds: {{{column.name}: "
            f"category}}."
        )
        raise SourceError(
            f"{column.each} {column.line_of(cell)} holds '{cell}' in a column of numbers.",
            where=column.where,
            fix=fix,
        )
    rows = sum(cell is not None for cell in column.cells)
    if len(distinct) > FREE_TEXT and len(distinct) > 0.5 * rows:
        commas = column.decimal == "." and all(
            NUMBER.fullmatch(cell.replace(",", ".")) for cell in distinct
        )
        fix = (
            "Set decimal: ','."
            if commas
            else f"Add it to the source's drop, or set kinds: {{{column.name}: category}}."
        )
        raise SourceError(
            f"its {rows} cells hold {len(distinct)} different texts, too many for categories.",
            where=column.where,
            fix=fix,
        )
    return "category"


def encode(column: Column, kind: FeatureKind) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return values [N], NaN where missing, and the categories behind the codes.

    Raises:
        SourceError: A cell is not of that kind, or infinite; the message has the line.
    """
    if kind == "category":
        return _categories(column)
    text = {cell: _value(column, cell, kind) for cell in {c for c in column.cells if c is not None}}
    with np.errstate(over="ignore"):
        values = np.array(
            [np.nan if cell is None else text[cell] for cell in column.cells], dtype=np.float64
        ).astype(np.float32)
    infinite = np.isinf(values)
    if infinite.any():
        at = int(infinite.argmax())
        raise SourceError(
            f"{column.each} {column.lines[at]} holds '{column.cells[at]}', which is infinite.",
            where=column.where,
            fix="Leave the cell empty if it is not known.",
        )
    return values, ()


def _value(column: Column, cell: str, kind: FeatureKind) -> float:
    if kind == "binary":
        if cell.lower() not in TRUTH:
            fix = f"Set kinds: {{{column.name}: category}}, or write 0 and 1."
            raise SourceError(
                f"{column.each} {column.line_of(cell)} holds '{cell}', not 0, 1, true or false.",
                where=column.where,
                fix=fix,
            )
        return TRUTH[cell.lower()]
    text = column.point(cell)
    if INFINITE.fullmatch(text):
        return float(text)
    if not NUMBER.fullmatch(text) or (kind == "integer" and whole(text) is None):
        wanted = "a whole number" if kind == "integer" else "a number"
        raise SourceError(
            f"{column.each} {column.line_of(cell)} holds '{cell}', not {wanted}.",
            where=column.where,
            fix="Mend the cell, or set another kind under kinds.",
        )
    return float(text)


def _categories(column: Column) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    names = sorted_names({cell for cell in column.cells if cell is not None})
    if len(names) > MAX_CATEGORIES:
        fix = "Add it to the source's drop, or merge the rare ones."
        raise SourceError(
            f"it holds {len(names)} categories, more than {MAX_CATEGORIES}.",
            where=column.where,
            fix=fix,
        )
    code = {name: float(at) for at, name in enumerate(names)}
    return np.array(
        [np.nan if cell is None else code[cell] for cell in column.cells], dtype=np.float32
    ), tuple(names)


def bounds_of(
    kind: FeatureKind, categories: tuple[str, ...], given: tuple[float, float] | None
) -> tuple[float | None, float | None]:
    """Return the smallest and largest allowed value: as given, as the kind implies, or None."""
    if given is not None:
        return given
    if kind == "binary":
        return 0.0, 1.0
    return (0.0, float(len(categories) - 1)) if kind == "category" else (None, None)


def kind_of_values(values: NDArray[np.float32]) -> FeatureKind:
    """Return what a column of numbers [N] holds; missing cells (NaN) say nothing."""
    known = values[~np.isnan(values)]
    if len(known) and np.isin(known, (0, 1)).all():
        return "binary"
    return "integer" if len(known) and (known == np.round(known)).all() else "number"


def feature_of_values(name: str, values: NDArray[np.float32]) -> Feature:
    """Return the feature that a column of numbers [N] is."""
    kind = kind_of_values(values)
    low, high = bounds_of(kind, (), None)
    return Feature(name, kind, low=low, high=high, missing=bool(np.isnan(values).any()))
