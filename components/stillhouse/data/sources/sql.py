"""A table that a query gives: from a sqlite file, or from a PostgreSQL server."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse import config, environment
from stillhouse.config import InputFile
from stillhouse.data.columns import MISSING
from stillhouse.data.dataset import Dataset
from stillhouse.data.query import ask, mark, postgresql, quoted, require_select, sqlite
from stillhouse.data.rows import Rows
from stillhouse.data.schema import FeatureKind, Schema, Task
from stillhouse.data.source import Source
from stillhouse.data.sources.csv import Csv
from stillhouse.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Sql(Source):
    """Reads the rows of one SELECT, ordered by their key; every column that has no other part is a
    feature.

    A changed sqlite file makes `prepare` stale. Of a server the watermark does: a query that is
    asked before every run, and whose answer differs when the rows do.

    Args:
        query: One statement that reads; the connection cannot write.
        target: The column to predict; null means an unlabelled row. Of several labels a row: their
            columns, of 1 and 0.
        key: A column that names the rows, each differently, and orders them. Whole numbers are the
            rows' numbers; of other names the row's number is its place in that order.
        task: classification: the target's cells are class names; regression: they are numbers;
            multi_label: the targets' say which of several labels a row has.
        database: A sqlite file; empty where `variable` is set.
        variable: Name of the environment variable that holds
            `postgresql://user:password@host/database`; the address itself belongs in no settings.
        group: A column of patients, machines or speakers, for `split: {by: group}`; it is no
            feature.
        time: A column of numbers, dates or timestamps (UTC where they name no zone), for `split:
            {by: time}`; it is no feature.
        drop: Columns to leave out.
        kinds: Column → number, integer, category or binary, where the inferred kind is not meant.
        units: Column → unit, for people.
        bounds: Column → [low, high] that are allowed.
        immutable: Columns that an attack may not change.
        missing: Texts that mean a missing cell, beside null and NaN.
        watermark: A SELECT of one row, such as `SELECT max(changed) FROM stays`; empty: how many
            rows the query gives and their largest key, which misses a row that was changed in
            place.
    """

    kinds = frozenset({"table"})

    def __init__(
        self,
        *,
        query: str,
        target: str | tuple[str, ...],
        key: str,
        task: Task = "classification",
        database: InputFile = "",
        variable: str = "",
        group: str | None = None,
        time: str | None = None,
        drop: tuple[str, ...] = (),
        kinds: Mapping[str, FeatureKind] = {},
        units: Mapping[str, str] = {},
        bounds: Mapping[str, list[float]] = {},
        immutable: tuple[str, ...] = (),
        missing: tuple[str, ...] = MISSING,
        watermark: str = "",
    ) -> None:
        if bool(database) == bool(variable):
            said = (
                "both a database and a variable are set."
                if database
                else "neither a database nor a variable is set."
            )
            fix = (
                "Name a sqlite file (database), or the variable that holds a server's address "
                "(variable)."
            )
            raise SettingsError(said, where="prepare.source", fix=fix)
        self.query, self.database, self.variable = (
            require_select(query, where="prepare.source.query"),
            database,
            variable,
        )
        self.dates = frozenset(name for name in (time, group) if name is not None)
        # From cells on, a table is a table, wherever it came from.
        self.table = Csv(
            path=database,
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
        self.key, self.task = key, task
        self.mark = (
            require_select(watermark, where="prepare.source.watermark")
            if watermark
            else f"SELECT count(*), max({quoted(key)}) FROM ({self.query}) AS asked"
        )

    def rows(self, path: Path, schema: Schema) -> Rows:
        return self.table.rows(path, schema)

    def read(self, root: Path) -> Dataset:
        engine, where = self._engine(root)
        return self.table.dataset_of(
            ask(engine, self.query, key=self.key, dates=self.dates, where=where)
        )

    def watermark(self, root: Path) -> str | None:
        if self.database:
            return None  # the file's hash says more
        engine, where = self._engine(root)
        return mark(engine, self.mark, where=where)

    def _engine(self, root: Path) -> "tuple[Engine, str]":
        """Return an engine that only reads, and what messages call it."""
        if self.database:
            path = config.file_of(self.database, root)
            return sqlite(path), path.name
        address = environment.secret(self.variable)
        if address is None:
            fix = "Set it to the database's address, in the environment or in .env."
            raise SettingsError(
                f"the environment variable '{self.variable}' is not set.",
                where="prepare.source.variable",
                fix=fix,
            )
        return postgresql(address, where=f"${self.variable}"), f"${self.variable}"
