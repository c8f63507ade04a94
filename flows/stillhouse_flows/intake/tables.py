"""A text or Parquet table: the source that reads it, and how its rows are held out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stillhouse.data.codes import whole
from stillhouse.data.columnar import read_columns
from stillhouse.data.columns import MISSING
from stillhouse.data.delimited import Cells, read_cells
from stillhouse.errors import SourceError, UsageError, nearest
from stillhouse_flows.intake import recordings, roles
from stillhouse_flows.intake.columns import (
    counts_rows,
    decimal_mark,
    facts_of,
    iso,
    known_cells,
    missing_texts,
    unit_of,
)
from stillhouse_flows.intake.hints import By, Facts, Guess, Hints

MOST_CODES = 50  # different whole numbers of a column that is named as one of codes
FEW_VALUES = 20  # whole numbers of more different values than this are a quantity
ENCODINGS = ("utf-8", "cp1252")


@dataclass(frozen=True)
class Read:
    """A file's cells and how they were read.

    Attributes:
        cells: As text.
        settings: Of the source: encoding, decimal, missing, where they are not the usual ones.
        missing: Every text that stands for nothing.
        columns: What each column holds.
    """

    cells: Cells
    settings: dict[str, Any]
    missing: frozenset[str]
    columns: list[Facts]


def guess(path: Path, place: str, hints: Hints) -> Guess:
    """Return how a table's file can be read.

    Args:
        path: The file.
        place: What params.yaml calls it.
        hints: What the user said.

    Raises:
        SourceError: The file is no table.
        UsageError: A named column is not there, or no column is evidently the target.
    """
    read = _read(path, hints)
    labels = _labels(read.cells, hints.target)
    _require_columns(read.cells, hints, path.name, labels)
    candidates = {
        "targets": roles.targets(read.columns),
        "groups": roles.groups(read.cells, read.columns, read.missing),
        "times": roles.times(read.cells, read.columns, read.missing),
        "keys": roles.keys(read.columns, len(read.cells.lines)),
    }
    if labels:
        return _table(path, place, hints, read, candidates, labels)
    target = hints.target or roles.evident(read.columns)
    if target is None:
        named = ", ".join(candidates["targets"]) or "none looks like classes"
        raise UsageError(
            f"it is not evident which of {len(read.columns)} columns is to be predicted.",
            where=path.name,
            fix=f"Name it with --target; candidates: {named}.",
        )
    found = recordings.find(read.cells, read.columns, target, hints)
    if found is not None and path.suffix != ".parquet":
        made = recordings.guess(place, found, target, read.missing, hints)
        source = {**made.source, **read.settings}
        return replace(made, source=source, candidates=candidates)
    if hints.kind == "series":
        raise UsageError(
            "no column parts the file into recordings of lines.",
            where=path.name,
            fix="Name it with --group, or bring the lines as a table.",
        )
    return _table(path, place, replace(hints, target=target), read, candidates)


def _read(path: Path, hints: Hints) -> Read:
    settings: dict[str, Any] = {}
    if path.suffix == ".parquet":
        dates = frozenset(name for name in (hints.time, hints.group) if name is not None)
        cells = read_columns(path, dates=dates, unread=frozenset(hints.drop))
    else:
        cells, encoding = _cells(path, hints.target or "")
        if encoding != ENCODINGS[0]:
            settings["encoding"] = encoding
    decimal = decimal_mark(cells)
    if decimal != ".":
        settings["decimal"] = decimal
    more = missing_texts(cells, decimal)
    if more:
        settings["missing"] = [*MISSING, *more]
    missing = frozenset((*MISSING, *more))
    return Read(cells, settings, missing, facts_of(cells, missing, decimal))


def _cells(path: Path, target: str) -> tuple[Cells, str]:
    for encoding in ENCODINGS[:-1]:
        try:
            return read_cells(path, target=target, encoding=encoding), encoding
        except SourceError as error:
            if f"is not {encoding} text" not in str(error):
                raise
    return read_cells(path, target=target, encoding=ENCODINGS[-1]), ENCODINGS[-1]


def _labels(cells: Cells, target: str | None) -> tuple[str, ...]:
    """Return the columns of several labels a row; none where one column is named, or none."""
    if target is None or target in cells.columns or "," not in target:
        return ()
    return tuple(name.strip() for name in target.split(",") if name.strip())


def _require_columns(cells: Cells, hints: Hints, file: str, labels: tuple[str, ...]) -> None:
    targets = [("target", name) for name in labels or (hints.target,)]
    for what, name in (*targets, ("group", hints.group), ("time", hints.time)):
        if name is not None and name not in cells.columns:
            fix = nearest(name, list(cells.columns))
            raise UsageError(f"there is no column '{name}'.", where=f"--{what}, {file}", fix=fix)
    for name in hints.drop:
        if name not in cells.columns:
            fix = nearest(name, list(cells.columns))
            raise UsageError(f"there is no column '{name}'.", where=f"--drop, {file}", fix=fix)


def _table(
    path: Path,
    place: str,
    hints: Hints,
    read: Read,
    candidates: dict[str, list[str]],
    labels: tuple[str, ...] = (),
) -> Guess:
    targets, notes = labels or (str(hints.target),), list[str]()
    group = hints.group or next(
        (name for name in candidates["groups"] if name not in targets), None
    )
    few = 0 if hints.group or group is None else _distinct(read.columns, group)
    if 0 < few < roles.MIN_GROUPS:
        said = f"{group} has only {few} values: rows are not held out by it; it stays a feature."
        group = None
        notes.append(said)
    time = hints.time or (
        next((name for name in candidates["times"] if name not in targets), None)
        if not group
        else None
    )
    taken = dict.fromkeys(targets, "target") | {
        name: part for name, part in ((group, "group"), (time, "time")) if name
    }
    key = next(
        (name for name in candidates["keys"] if name not in taken and _whole(read, name)), None
    )
    taken |= {key: "key"} if key else {}
    columns = [_part(read, column, taken, hints.drop) for column in read.columns]
    dropped = {column.name: column.why for column in columns if column.part == "dropped"}
    coded = [c for c in columns if c.part == "feature" and c.kind == "category" and c.why]
    units = {
        column.name: unit_of(column.name)
        for column in columns
        if column.part == "feature" and column.kind != "category" and unit_of(column.name)
    }
    source: dict[str, Any] = {
        "name": "parquet" if path.suffix == ".parquet" else "csv",
        "path": place,
        "target": list(labels) or targets[0],
        **{part: name for name, part in taken.items() if part != "target"},
        **({"drop": list(dropped)} if dropped else {}),
        **({"kinds": {column.name: "category" for column in coded}} if coded else {}),
        **_task(read, targets),
        **({"units": units} if units else {}),
        **read.settings,
    }
    notes += [f"{name} is left out: {why}." for name, why in dropped.items() if why]
    notes += [f"{column.name} is read as categories: {column.why}." for column in coded]
    if source.get("task") == "regression":
        notes.append(
            f"{targets[0]} is a quantity: its mean is told; bin it first if you want classes."
        )
    by: By = "group" if group else "time" if time else "row"
    return Guess(source, by, tuple(notes), tuple(columns), candidates)


def _part(read: Read, column: Facts, taken: dict[str, str], drop: Sequence[str]) -> Facts:
    if column.name in taken:
        return replace(column, part=taken[column.name], why="")
    if column.name in drop:
        return replace(column, part="dropped", why="you said so")
    if column.part == "dropped":
        return column
    if column.kind == "date":
        readable = iso(known_cells(read.cells, column.name, read.missing))
        why = "a date is no feature" if readable else "its dates are not ISO (2026-01-31)"
        return replace(column, part="dropped", why=why)
    if column.name in roles.keys([column], len(read.cells.lines)):
        return replace(column, part="dropped", why="it names the row")
    if column.kind != "integer":
        return column
    if column.distinct == len(read.cells.lines) and counts_rows(read.cells.columns[column.name]):
        return replace(column, part="dropped", why="it counts the rows")
    if roles.CODE.fullmatch(column.name) and column.distinct <= min(MOST_CODES, column.rows / 20):
        return replace(column, kind="category", why="its numbers are codes, as its name says")
    return column


def _whole(read: Read, name: str) -> bool:
    return all(whole(cell) is not None for cell in read.cells.columns[name])


def _task(read: Read, targets: tuple[str, ...]) -> dict[str, str]:
    if len(targets) > 1:
        return {"task": "multi_label"}
    return {"task": "regression"} if _quantity(read, targets[0]) else {}


def _quantity(read: Read, target: str) -> bool:
    """Whether a target is a number of which there are too many values for classes, or of which one
    stands in a single row, which no class may.
    """
    found = next(column for column in read.columns if column.name == target)
    if found.kind != "integer" or found.distinct <= FEW_VALUES:
        return found.kind == "number"
    counts = Counter(known_cells(read.cells, target, read.missing))
    return found.distinct > 0.02 * found.rows or 1 in counts.values()


def _distinct(columns: Sequence[Facts], name: str) -> int:
    return next(column.distinct for column in columns if column.name == name)
