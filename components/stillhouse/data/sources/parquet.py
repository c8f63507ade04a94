"""A table in a Parquet file: kinds are inferred as for a text file, missing cells stay missing."""

from collections.abc import Mapping
from pathlib import Path

from stillhouse import config
from stillhouse.config import InputFile
from stillhouse.data.columnar import read_columns
from stillhouse.data.columns import MISSING
from stillhouse.data.dataset import Dataset
from stillhouse.data.rows import Rows
from stillhouse.data.schema import FeatureKind, Schema, Task
from stillhouse.data.source import Source
from stillhouse.data.sources.csv import Csv


class Parquet(Source):
    """Reads a file of flat columns; every column that has no other part is a feature.

    Args:
        path: The file.
        target: The column to predict; a missing cell means an unlabelled row. Of several labels a
            row: their columns, of 1 and 0, or true and false.
        task: classification: the target's cells are class names; regression: they are numbers;
            multi_label: the targets' say which of several labels a row has.
        key: A column that names the rows, each differently. Whole numbers are the rows' numbers;
            of other names the row's number is its place in the file, and messages have both. None:
            the place, from 0.
        group: A column of patients, machines or speakers, for `split: {by: group}`; it is no
            feature.
        time: A column of numbers, dates or timestamps (UTC where they name no zone), for `split:
            {by: time}`; it is no feature.
        drop: Columns to leave out; they may be nested or hold dates.
        kinds: Column → number, integer, category or binary, where the inferred kind is not meant.
        units: Column → unit, for people.
        bounds: Column → [low, high] that are allowed.
        immutable: Columns that an attack may not change.
        missing: Texts that mean a missing cell, beside null and NaN.
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
    ) -> None:
        self.path, self.task = path, task
        self.dates, self.unread = (
            frozenset(name for name in (time, group) if name is not None),
            frozenset(drop),
        )
        # From cells on, a table is a table, whatever file it came from.
        self.table = Csv(
            path=path,
            target=target,
            task=task,
            key=key,
            group=group,
            time=time,
            drop=drop,
            kinds=kinds,
            units=units,
            bounds=bounds,
            immutable=immutable,
            missing=("", *missing),
        )

    def rows(self, path: Path, schema: Schema) -> Rows:
        return self.table.rows(path, schema)

    def read(self, root: Path) -> Dataset:
        path = config.file_of(self.path, root)
        parts = {*self.table.targets, self.table.key, self.table.group, self.table.time}
        return self.table.dataset_of(
            read_columns(path, dates=self.dates, unread=self.unread - parts)
        )
