"""Read a Parquet file strictly: flat columns as cells, sizes from the footer before a page is
unpacked.
"""

import math
import re
from collections.abc import Callable, Collection
from decimal import Decimal
from pathlib import Path
from typing import Any

from stillhouse.data.bombs import require_no_bomb
from stillhouse.data.delimited import MAX_COLUMNS, Cells
from stillhouse.errors import SourceError, nearest

MAX_BYTES = 2**30  # of all columns, unpacked
MAX_CELLS = 50_000_000  # a cell becomes a Python string, some 60 bytes
MAX_FOOTER = 100 * 2**20
WRITTEN_INDEX = re.compile(r"__index_level_[0-9]+__")  # pandas calls a frame's own index so

Texts = list[str]


def is_parquet(path: Path) -> bool:
    """Whether a file's first bytes say so."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def read_columns(
    path: Path,
    *,
    dates: frozenset[str] = frozenset(),
    unread: frozenset[str] = frozenset(),
    only: Collection[str] | None = None,
) -> Cells:
    """Return a file's cells as text; a missing one is empty.

    Args:
        path: The file.
        dates: Columns that may hold dates; they become seconds since 1970.
        unread: Columns that nobody asks for; whatever they hold, their cells are empty.
        only: Columns that have to be there, all others being unread; None: every column is read.

    Raises:
        SourceError: Missing, not Parquet, broken, too large, without rows, a column is there twice,
            is nested, or holds dates or bytes; it is named.
    """
    import pyarrow  # type: ignore[import-untyped]

    where = path.name
    _require_magic(path)
    try:
        with _open(path) as file:
            names = _names(file, where)
            _require_named(only or (), names, where)
            kept = [n for n in names if n not in unread and (only is None or n in only)]
            _require_size(file, kept, names, where)
            cells = 8 * int(file.metadata.num_rows) * len(kept)
            require_no_bomb(cells, path.stat().st_size, where=where)
            _require_types(file, kept, dates, where)
            rows = int(file.metadata.num_rows)
            table = file.read(columns=kept, use_threads=False)
            if table.num_rows != rows or table.column_names != kept:
                raise SourceError(
                    "its footer promises other rows or columns than its pages hold.",
                    where=where,
                    fix="Write it again.",
                )
            columns = {
                name: _texts(table.column(name)) if name in kept else [""] * rows for name in names
            }
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise SourceError(
            f"the file is broken: {str(error).splitlines()[0][:200]}.",
            where=where,
            fix="Write it again.",
        ) from None
    named = {name or f"column {at + 1}": cells for at, (name, cells) in enumerate(columns.items())}
    index = frozenset(name for name in named if WRITTEN_INDEX.fullmatch(name))
    return Cells(where, named, list(range(rows)), index, each="row")


def _require_named(wanted: Collection[str], names: list[str], where: str) -> None:
    for name in wanted:
        if name not in names:
            raise SourceError(
                f"there is no column '{name}'.", where=where, fix=nearest(name, names)
            )


def _open(path: Path) -> Any:
    from pyarrow import parquet

    text = _text_columns(path)
    # Texts are kept as codes into their different values: a page may say "this text, a million
    # times".
    return parquet.ParquetFile(
        path,
        memory_map=False,
        pre_buffer=False,
        read_dictionary=text,
        thrift_string_size_limit=MAX_FOOTER,
        thrift_container_size_limit=1_000_000,
    )


def _text_columns(path: Path) -> list[str]:
    from pyarrow import parquet, types

    with parquet.ParquetFile(
        path,
        memory_map=False,
        thrift_string_size_limit=MAX_FOOTER,
        thrift_container_size_limit=1_000_000,
    ) as file:
        return [
            field.name
            for field in file.schema_arrow
            if types.is_string(field.type) or types.is_large_string(field.type)
        ]


def _require_magic(path: Path) -> None:
    if not path.is_file():
        raise SourceError(
            f"the file '{path.name}' is missing: there is none at {path}.",
            where=path.name,
            fix="Check the path; relative ones start at params.yaml.",
        )
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(path.stat().st_size - 8, 0))
        tail = file.read(8)
    if head == b"PARE" or tail[4:] == b"PARE":
        raise SourceError(
            "the file is encrypted.", where=path.name, fix="Write it without encryption."
        )
    if head != b"PAR1":
        kinds = {
            b"\x80": "a pickle",
            b"PK": "a zip archive",
            b"\x1f\x8b": "a gzip file",
            b"ARROW1": "an Arrow file (feather)",
            b"": "empty",
        }
        kind = next(
            (said for magic, said in kinds.items() if magic and head.startswith(magic[:4])),
            "something else" if head else "empty",
        )
        raise SourceError(
            f"the file is not Parquet but {kind}.",
            where=path.name,
            fix="Save it as Parquet, or choose another source.",
        )
    if tail[4:] != b"PAR1" or path.stat().st_size < 12:
        raise SourceError(
            "the file is cut off: its footer is missing.",
            where=path.name,
            fix="Copy or write it again.",
        )
    if int.from_bytes(tail[:4], "little") > MAX_FOOTER:
        raise SourceError(
            "its footer has more than 100 MiB.",
            where=path.name,
            fix="Write it with fewer row groups.",
        )


def _names(file: Any, where: str) -> list[str]:
    names = [str(name) for name in file.schema_arrow.names]
    if len(names) > MAX_COLUMNS:
        raise SourceError(
            f"the file has {len(names)} columns, more than {MAX_COLUMNS}.",
            where=where,
            fix="Save wide data as npz.",
        )
    twice = (
        sorted({name for name in names if names.count(name) > 1})
        if len(set(names)) < len(names)
        else []
    )
    if twice:
        raise SourceError(
            f"the column '{twice[0]}' is there twice.",
            where=where,
            fix="Give every column its own name.",
        )
    return names


def _require_size(file: Any, kept: list[str], names: list[str], where: str) -> None:
    about, wanted = file.metadata, set(kept)
    if not about.num_rows or not kept:
        raise SourceError(
            "the file is empty: it has no rows or no columns.", where=where, fix="Bring rows."
        )
    chunks = [
        group.column(at)
        for group in (about.row_group(g) for g in range(about.num_row_groups))
        for at in range(group.num_columns)
    ]
    unpacked = sum(
        int(chunk.total_uncompressed_size)
        for chunk in chunks
        if chunk.path_in_schema.split(".")[0] in wanted or len(names) == len(kept)
    )
    if unpacked > MAX_BYTES:
        raise SourceError(
            f"unpacked, the file has {unpacked / 2**20:,.0f} MiB, more than {MAX_BYTES // 2**20}.",
            where=where,
            fix="Split it, or drop columns.",
        )
    if about.num_rows * len(kept) > MAX_CELLS:
        said = (
            f"the file has {about.num_rows:,} rows of {len(kept)} columns, more than "
            f"{MAX_CELLS:,} cells."
        )
        raise SourceError(said, where=where, fix="Take a part of the rows, or drop columns.")


def _require_types(file: Any, kept: list[str], dates: frozenset[str], where: str) -> None:
    from pyarrow import types

    for name in kept:
        found = file.schema_arrow.field(name).type
        inner = found.value_type if types.is_dictionary(found) else found
        place = f"{where}, column '{name}'"
        if types.is_nested(inner):
            raise SourceError(
                f"the column is nested ({found}).",
                where=place,
                fix="Flatten it into columns of its own, or add it to the source's drop.",
            )
        if types.is_temporal(inner) and not (
            name in dates and (types.is_date(inner) or types.is_timestamp(inner))
        ):
            fix = (
                "Turn it into numbers (a year, days since an event) or classes, name it as time, "
                "or add it to the source's drop."
            )
            raise SourceError(
                f"the column holds dates or times ({found}), neither classes nor numbers.",
                where=place,
                fix=fix,
            )
        if not (
            _is_number(inner)
            or types.is_temporal(inner)
            or types.is_null(inner)
            or types.is_string(inner)
            or types.is_large_string(inner)
        ):
            raise SourceError(
                f"the column holds {found}, not numbers or texts.",
                where=place,
                fix="Convert it, or add it to the source's drop.",
            )


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_boolean(kind)
    )


def _texts(column: Any) -> Texts:
    """Return a column's cells as text; each different value is written once."""
    from pyarrow import types

    texts: Texts = []
    for chunk in column.chunks:
        if types.is_dictionary(chunk.type):
            codes = _plain(chunk.dictionary)
            texts.extend("" if at is None else codes[at] for at in chunk.indices.to_pylist())
        else:
            texts.extend(_plain(chunk))
    return texts


def _plain(chunk: Any) -> Texts:
    from pyarrow import int64, timestamp, types

    kind = chunk.type
    if types.is_temporal(kind):
        moments = (
            chunk.cast(timestamp("us", getattr(kind, "tz", None)), safe=False)
            .cast(int64())
            .to_pylist()
        )
        return ["" if moment is None else repr(moment / 1e6) for moment in moments]
    write: Callable[[Any], str] = _number if _is_number(kind) else str.strip
    return ["" if value is None else write(value) for value in chunk.to_pylist()]


def _number(value: bool | float | Decimal) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if math.isnan(value) else repr(value)
