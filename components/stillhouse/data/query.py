"""Ask a database for rows without being able to change it: one SELECT, in a connection that only
reads.
"""

import itertools
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stillhouse.data.codes import whole
from stillhouse.data.delimited import Cells
from stillhouse.errors import ServerUnreachable, SettingsError, SourceError

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy import Connection, Engine

MAX_CELLS = 50_000_000  # a cell becomes a Python string, some 60 bytes
AT_ONCE = 10_000  # rows
COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"", re.DOTALL)
# What sqlite asks its authoriser while it compiles a query that only reads.
READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)


def require_select(query: str, *, where: str) -> str:
    """Return a query without its last semicolon.

    The database refuses to write whatever this lets through; here a mistake is named before
    anything is asked.

    Raises:
        SettingsError: It is not one SELECT.
    """
    words = QUOTED.sub("''", COMMENTS.sub(" ", query)).strip().rstrip(";").strip()
    if not re.match(r"(select|with|values)\b", words, re.IGNORECASE) or ";" in words:
        raise SettingsError(
            "the query is not one SELECT.",
            where=where,
            fix="Write one statement that begins with SELECT or WITH.",
        )
    return query.strip().rstrip(";")


def sqlite(path: Path) -> "Engine":
    """Return an engine on a sqlite file that can do nothing but read.

    Raises:
        SourceError: It is missing or no sqlite file.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if not path.is_file():
        raise SourceError(
            f"the file '{path.name}' is missing: there is none at {path}.",
            where=path.name,
            fix="Check the path; relative ones start at params.yaml.",
        )
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise SourceError(
                "the file is no sqlite database by its first bytes.",
                where=path.name,
                fix="Bring one, or choose another source.",
            )

    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
        made.set_authorizer(_allow)
        return made

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _allow(action: int, name: str | None, value: str | None, *_: str | None) -> int:
    asked = (
        action == sqlite3.SQLITE_PRAGMA and name == "read_uncommitted" and value is None
    )  # SQLAlchemy does, at its first connection
    return sqlite3.SQLITE_OK if action in READING or asked else sqlite3.SQLITE_DENY


def postgresql(address: "SecretStr", *, where: str) -> "Engine":
    """Return an engine on a PostgreSQL server whose transactions only read, and see one moment of
    the database.

    Raises:
        SettingsError: The address is none of PostgreSQL's; it is not repeated, as it may hold a
            password.
    """
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.pool import NullPool

    fix = (
        "Set it to postgresql://user:password@host/database; a sqlite file is named by the "
        "setting database."
    )
    try:
        url = make_url(address.get_secret_value())
    except (ArgumentError, ValueError):
        raise SettingsError(
            "the variable holds no address of a database.", where=where, fix=fix
        ) from None
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            f"the variable holds an address of '{url.get_backend_name()}'.", where=where, fix=fix
        )
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": 15},
    )
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def ask(engine: "Engine", query: str, *, key: str, dates: frozenset[str], where: str) -> Cells:
    """Return a query's rows as text, ordered by their key, which is also how messages name them; a
    missing cell is empty.

    Raises:
        SourceError: The database refuses the query, there are no rows or too many, a column is
            there twice, or holds dates or bytes; it is named.
        ServerUnreachable: Nobody answers.
    """
    with _connected(engine, where) as connection:
        found = connection.execution_options(
            stream_results=True, no_parameters=True
        ).exec_driver_sql(query)
        names = [str(name) for name in found.keys()]  # noqa: SIM118 - a result's method, not a mapping's
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SourceError(
                f"the column '{twice}' is there twice.",
                where=where,
                fix="Give it another name: SELECT a.x AS x2.",
            )
        rows: list[Sequence[Any]] = []
        for part in found.partitions(AT_ONCE):
            rows.extend(part)
            if len(rows) * len(names) > MAX_CELLS:
                raise SourceError(
                    f"the query gives more than {MAX_CELLS:,} cells.",
                    where=where,
                    fix="Select fewer rows or columns.",
                )
    if not rows:
        raise SourceError("the query gives no row.", where=where, fix="Mend its conditions.")
    columns = {
        name: [_text(value, name, name in dates, where) for value in cells]
        for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    return _ordered(columns, key, where)


def mark(engine: "Engine", query: str, *, where: str) -> str:
    """Return a query's one row as text, such as `768 | 2026-11-25 09:30:00`.

    Raises:
        SourceError: The database refuses the query, or it gives no row or several.
        ServerUnreachable: Nobody answers.
    """
    with _connected(engine, where) as connection:
        found = connection.execution_options(no_parameters=True).exec_driver_sql(query)
        rows = found.fetchmany(2)
    if len(rows) != 1:
        raise SourceError(
            f"the watermark gives {'several rows' if rows else 'no row'}, not one.",
            where=where,
            fix="Select one value, such as SELECT max(changed) FROM stays.",
        )
    return " | ".join("" if value is None else str(value) for value in rows[0])


def quoted(name: str) -> str:
    """Return a column's name as SQL writes it, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _connected(engine: "Engine", where: str) -> "Iterator[Connection]":
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        said = type(error).__name__ if engine.dialect.name == "postgresql" else _short(error)
        raise ServerUnreachable(
            f"the database does not answer ({said}).",
            where=where,
            fix="Check its address, and that it runs.",
        ) from None
    try:
        yield connection
    except DBAPIError as error:
        raise SourceError(
            f"the database refuses the query: {_short(error)}.",
            where=where,
            fix="Mend the query; it may only read.",
        ) from None
    finally:
        connection.close()
        engine.dispose()


def _short(error: Any) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__


def _text(value: Any, name: str, may_be_date: bool, where: str) -> str:
    place = f"{where}, column '{name}'"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, date) and may_be_date:
        moment = (
            value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        )
        return repr((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    fix = "Turn it into numbers or classes in the query, name it as time, or leave it out."
    raise SourceError(
        f"the column holds {type(value).__name__}, neither numbers nor texts.", where=place, fix=fix
    )


def _ordered(columns: Mapping[str, list[str]], key: str, where: str) -> Cells:
    """Sort by key, as no database promises an order that nobody asked for."""
    cells = Cells(
        where,
        dict(columns),
        list(range(len(next(iter(columns.values()))))),
        frozenset(),
        each="row",
    )
    keys = [whole(text) for text in cells.column(key, "key")]
    if any(number is None for number in keys):
        return _by_text(cells, columns, key)
    order = sorted(range(len(keys)), key=lambda at: keys[at] or 0)
    twice = next((keys[a] for a, b in itertools.pairwise(order) if keys[a] == keys[b]), None)
    if twice is not None:
        raise SourceError(
            f"two rows have the key {twice}.",
            where=f"{where}, column '{key}'",
            fix="Choose a key that differs in every row.",
        )
    return Cells(
        where,
        {name: [values[at] for at in order] for name, values in columns.items()},
        [keys[at] or 0 for at in order],
        frozenset(),
        each="row",
    )


def _by_text(cells: Cells, columns: Mapping[str, list[str]], key: str) -> Cells:
    """Sort by keys that are no numbers; messages call rows by their place."""
    order = sorted(range(len(cells.lines)), key=lambda at: columns[key][at])
    sorted_columns = {name: [values[at] for at in order] for name, values in columns.items()}
    return Cells(cells.file, sorted_columns, cells.lines, frozenset(), each="row")
