"""A table in a text file: kinds are inferred and can be overridden, missing cells stay missing."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from stillhouse import config
from stillhouse.config import InputFile
from stillhouse.data.codes import class_codes, group_code, whole
from stillhouse.data.columnar import is_parquet, read_columns
from stillhouse.data.columns import MISSING, NUMBER, Column, bounds_of, encode, infer
from stillhouse.data.dataset import Dataset
from stillhouse.data.delimited import Cells, read_cells
from stillhouse.data.labels import labels_of_columns
from stillhouse.data.notices import ColumnLeftOut
from stillhouse.data.rows import Rows, read_rows, require_tabular, rows_of_cells
from stillhouse.data.schema import Feature, FeatureKind, Quantity, Schema, Task
from stillhouse.data.source import Source
from stillhouse.data.targets import targets_of
from stillhouse.errors import SettingsError, SourceError, nearest


class Csv(Source):
    """Reads a text file with a header; every column that has no other part is a feature.

    Args:
        path: The file, plain or gzip.
        target: The column to predict; a missing cell means an unlabelled row. Of several labels a
            row: their columns, of 1 and 0, an empty cell where nobody knows.
        task: classification: the target's cells are class names; regression: they are numbers;
            multi_label: the targets' say which of several labels a row has.
        key: A column that names the rows, each differently. Whole numbers are the rows' numbers;
            of other names the row's number is its place in the file, and messages have both. None:
            the place, from 0.
        group: A column of patients, machines or speakers, for `split: {by: group}`; it is no
            feature.
        time: A column of numbers or ISO dates, for `split: {by: time}`; it is no feature.
        drop: Columns to leave out.
        kinds: Column → number, integer, category or binary, where the inferred kind is not meant.
        units: Column → unit, for people.
        bounds: Column → [low, high] that are allowed.
        immutable: Columns that an attack may not change.
        missing: Texts that mean a missing cell.
        delimiter: `auto` finds `,`, `;`, tab or `|`.
        decimal: The decimal mark.
        encoding: Of the text.
    """

    kinds = frozenset({"table"})

    def __init__(
        self,
        *,
        path: InputFile,
        target: str | tuple[str, ...],
        task: Task = "classification",
        key: str | None = None,
        group: str | None = None,
        time: str | None = None,
        drop: tuple[str, ...] = (),
        kinds: Mapping[str, FeatureKind] = {},
        units: Mapping[str, str] = {},
        bounds: Mapping[str, list[float]] = {},
        immutable: tuple[str, ...] = (),
        missing: tuple[str, ...] = MISSING,
        delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto",
        decimal: Literal[".", ","] = ".",
        encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8",
    ) -> None:
        self.path, self.target, self.key, self.group, self.time, self.drop = (
            path,
            target,
            key,
            group,
            time,
            drop,
        )
        self.task, self._task = task, task
        self.targets = require_targets(target, task)
        self.overrides, self.units, self.bounds, self.immutable = (
            dict(kinds),
            dict(units),
            dict(bounds),
            frozenset(immutable),
        )
        self.missing, self.delimiter, self.decimal, self.encoding = (
            frozenset(missing),
            delimiter,
            decimal,
            encoding,
        )
        for column, ends in self.bounds.items():
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise SettingsError(
                    f"the bounds {ends} are not two rising numbers.",
                    where=f"prepare.source.bounds.{column}",
                    fix="Write [low, high].",
                )

    def read(self, root: Path) -> Dataset:
        return self.dataset_of(
            read_cells(
                config.file_of(self.path, root),
                target=self.targets[0],
                delimiter=self.delimiter,
                encoding=self.encoding,
            )
        )

    def rows(self, path: Path, schema: Schema) -> Rows:
        if path.suffix == ".npz" or not path.is_file():
            return read_rows(path, schema)
        require_tabular(schema, path.name)
        names = [feature.name for feature in schema.features]
        cells = (
            read_columns(path, only=names)
            if is_parquet(path)
            else read_cells(path, target=names[0], delimiter=self.delimiter, encoding=self.encoding)
        )
        return rows_of_cells(cells, schema, missing=self.missing, decimal=self.decimal)

    def dataset_of(self, cells: Cells) -> Dataset:
        """Return the rows that cells hold, whatever file they came from. Errors as `read`."""
        parts = {"key": self.key, "group": self.group, "time": self.time}
        taken = dict.fromkeys(self.targets, "target")
        taken |= {name: what for what, name in parts.items() if name is not None}
        for name, what in taken.items():
            cells.column(name, what)
        told = READ[self._task](
            [self._column(cells, name) for name in self.targets],
            self.units.get(self.targets[0], ""),
        )
        columns = self._features(cells, set(taken))
        features, values = [], []
        for column in columns:
            feature, encoded = self._feature(column)
            features.append(feature)
            values.append(encoded)
        schema = Schema(
            "table",
            (len(features),),
            told.classes,
            tuple(features),
            self._task,
            told.quantity,
            labels=told.labels,
        )
        rows, keys = self._rows(cells)
        dataset = Dataset(
            torch.from_numpy(np.stack(values, axis=1)),
            told.targets,
            schema,
            rows,
            self._groups(cells),
            self._times(cells),
            keys,
        )
        place = f"{cells.file}, column '{self.targets[0]}'"
        targets_of(schema).require(dataset, where=cells.file if told.labels else place)
        return dataset

    def _column(self, cells: Cells, name: str) -> Column:
        return Column(
            name,
            [None if cell in self.missing else cell for cell in cells.columns[name]],
            cells.lines,
            cells.file,
            self.decimal,
            cells.each,
        )

    def _features(self, cells: Cells, taken: set[str]) -> list[Column]:
        for setting, names in {
            "drop": self.drop,
            "kinds": self.overrides,
            "units": self.units,
            "bounds": self.bounds,
            "immutable": self.immutable,
        }.items():
            for name in sorted(names):
                if name not in cells.columns:
                    raise SettingsError(
                        f"{cells.file} has no column '{name}'.",
                        where=f"prepare.source.{setting}",
                        fix=nearest(name, list(cells.columns)),
                    )
        columns = [
            self._column(cells, name)
            for name in cells.columns
            if name not in taken | set(self.drop)
        ]
        kept = []
        for column in columns:
            reason = _why_not(column, column.name in cells.unnamed)
            if reason:
                warnings.warn(f"{column.where} is left out: {reason}.", ColumnLeftOut, stacklevel=2)
            else:
                kept.append(column)
        if not kept:
            raise SourceError(
                "no column is left to learn from.",
                where=cells.file,
                fix="Bring features beside the target, or drop fewer.",
            )
        return kept

    def _feature(
        self, column: Column
    ) -> tuple[Feature, "np.ndarray[tuple[int], np.dtype[np.float32]]"]:
        kind = self.overrides.get(column.name) or infer(column)
        values, categories = encode(column, kind)
        given = self.bounds.get(column.name)
        low, high = bounds_of(
            kind, categories, (float(given[0]), float(given[1])) if given else None
        )
        return Feature(
            column.name,
            kind,
            self.units.get(column.name, ""),
            low,
            high,
            column.name not in self.immutable,
            categories,
            None in column.cells,
        ), values

    def _rows(self, cells: Cells) -> tuple[Tensor, tuple[str, ...] | None]:
        """Return the rows' numbers [N], and their names where those are no whole numbers."""
        count = len(cells.lines)
        if self.key is None:
            return torch.arange(count), None
        where = f"{cells.file}, column '{self.key}'"
        column = self._column(cells, self.key)
        require_all(column, "key")
        names = [cell for cell in column.cells if cell is not None]
        numbers = [whole(name) for name in names]
        known = [number for number in numbers if number is not None]
        wanted: Sequence[int | str] = known if len(known) == count else names
        seen: dict[int | str, int] = {}
        for name, line in zip(wanted, cells.lines, strict=True):
            if name in seen:
                raise SourceError(
                    f"the {cells.each}s {seen[name]} and {line} have the same key {name}.",
                    where=where,
                    fix="Keys must differ; leave key out to count rows.",
                )
            seen[name] = line
        if len(known) == count:
            return torch.tensor(known, dtype=torch.int64), None
        return torch.arange(count), tuple(names)

    def _groups(self, cells: Cells) -> Tensor | None:
        if self.group is None:
            return None
        column = self._column(cells, self.group)
        require_all(column, "group")
        return torch.tensor(
            [group_code(cell) for cell in column.cells if cell is not None], dtype=torch.int64
        )

    def _times(self, cells: Cells) -> Tensor | None:
        if self.time is None:
            return None
        column = self._column(cells, self.time)
        require_all(column, "time")
        return torch.tensor(
            [moment(column, cell) for cell in column.cells if cell is not None], dtype=torch.float64
        )


@dataclass(frozen=True)
class Told:
    """What the target's cells say.

    Attributes:
        targets: [N], or [N, L] of several labels a row.
        classes: Their names.
        quantity: What is told, if the targets are one.
        labels: Names by column, if the targets are several.
    """

    targets: Tensor
    classes: tuple[str, ...] = ()
    quantity: Quantity | None = None
    labels: tuple[str, ...] = ()


def require_targets(target: str | tuple[str, ...], task: Task) -> tuple[str, ...]:
    """Return the columns that are predicted.

    Raises:
        SettingsError: One is named where several are asked for, or the other way round.
    """
    if isinstance(target, str) and task != "multi_label":
        return (target,)
    if isinstance(target, str) or len(target) < 2:
        raise SettingsError(
            "several labels a row are several columns.",
            where="prepare.source.target",
            fix="Write target: [sport, music, …], or set task: classification.",
        )
    if task != "multi_label":
        raise SettingsError(
            f"{len(target)} columns are named, and a {task} predicts one.",
            where="prepare.source.target",
            fix="Set task: multi_label, or name one column.",
        )
    twice = next((name for name in target if target.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(
            f"'{twice}' is named twice.", where="prepare.source.target", fix="Name it once."
        )
    return target


def _classes(columns: Sequence[Column], unit: str) -> Told:  # noqa: ARG001 - classes have none
    return Told(*class_codes(columns[0].cells))


def _quantities(columns: Sequence[Column], unit: str) -> Told:
    values, _ = encode(columns[0], "number")
    return Told(torch.from_numpy(values), quantity=Quantity(columns[0].name, unit))


def _labels(columns: Sequence[Column], unit: str) -> Told:  # noqa: ARG001 - labels have none
    targets, names = labels_of_columns(columns, columns[0].file)
    return Told(targets, labels=names)


READ: Mapping[Task, Callable[[Sequence[Column], str], Told]] = {
    "classification": _classes,
    "regression": _quantities,
    "multi_label": _labels,
}


def _why_not(column: Column, unnamed: bool) -> str:
    """Return why a column is no feature; empty if it is one."""
    if all(cell is None for cell in column.cells):
        return "it has no value in any row"
    if unnamed and any(_counts_from(first, column.cells) for first in (0, 1)):  # pandas', R's
        return "it has no name and counts the rows"
    return ""


def _counts_from(first: int, cells: Sequence[str | None]) -> bool:
    return all(cell == str(first + at) for at, cell in enumerate(cells))


def require_all(column: Column, what: str) -> None:
    """Refuse a column with a missing cell.

    Raises:
        SourceError: The line is named.
    """
    if None in column.cells:
        raise SourceError(
            f"{column.each} {column.lines[column.cells.index(None)]} has no {what}.",
            where=column.where,
            fix=f"Give every row a {what}, or leave the row out.",
        )


def moment(column: Column, cell: str) -> float:
    """Return a number, or an ISO date's seconds since 1970 (UTC where it names no zone).

    Raises:
        SourceError: The cell is neither; the line is named.
    """
    if NUMBER.fullmatch(column.point(cell)):
        return float(column.point(cell))
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        fix = "Write numbers, or dates as 2026-01-31 or 2026-01-31T12:00:00."
        raise SourceError(
            f"{column.each} {column.line_of(cell)} holds '{cell}', neither a number nor an "
            "ISO date.",
            where=column.where,
            fix=fix,
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
