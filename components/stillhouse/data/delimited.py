"""Read a delimited text file strictly: every row has the header's columns, or the line is named."""

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stillhouse.data.bombs import require_no_bomb
from stillhouse.errors import SourceError, nearest

MAX_BYTES = 256 * 2**20  # of text; as Python strings it takes some ten times that
MAX_COLUMNS = 10_000
MAX_CELLS = 20_000_000  # a cell becomes a Python string, some 60 bytes and its place in two lists
AT_ONCE = 2**20  # bytes
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Cells:
    """A file's cells as text.

    Attributes:
        file: Its name, for messages.
        columns: Header name → cells [N], stripped.
        lines: [N]: the line on which each row ends.
        unnamed: Columns without a name in the header; they are called `column 3`.
        each: What `lines` count, for messages: a text's lines, another file's rows.
    """

    file: str
    columns: dict[str, list[str]]
    lines: list[int]
    unnamed: frozenset[str]
    each: str = "line"

    def column(self, name: str, what: str) -> list[str]:
        """Return a column's cells.

        Raises:
            SourceError: There is none of that name; the message lists those there are.
        """
        if name not in self.columns:
            raise SourceError(
                f"there is no column '{name}' for the {what}.",
                where=self.file,
                fix=nearest(name, list(self.columns)),
            )
        return self.columns[name]


def read_text(path: Path, encoding: str) -> str:
    """Return a text file's contents; gzip is told by its magic bytes and unpacked up to the cap.

    Raises:
        SourceError: It is missing, empty, too large, or not text.
    """
    where = path.name
    if not path.is_file():
        raise SourceError(
            f"the file '{path.name}' is missing: there is none at {path}.",
            where=where,
            fix="Check the path; relative ones start at params.yaml.",
        )
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(
            f"the file has more than {MAX_BYTES // 2**20} MiB.",
            where=where,
            fix="Split it, or save the rows as npz.",
        )
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, where)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceError("the file is UTF-16.", where=where, fix="Save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"byte {error.start} is not {encoding} text.",
            where=where,
            fix="Save it as UTF-8, or set the source's encoding (latin-1, cp1252).",
        ) from None
    if not text.strip():
        raise SourceError("the file is empty.", where=where, fix="It needs a header and rows.")
    if "\0" in text:
        raise SourceError(
            "the file holds zero bytes: it is not a text file.",
            where=where,
            fix="Export it as CSV.",
        )
    return text


def _gunzip(data: bytes, where: str) -> bytes:
    unpacker, parts, size, rest = zlib.decompressobj(wbits=31), [], 0, data
    try:
        while rest and not unpacker.eof:
            parts.append(unpacker.decompress(rest, AT_ONCE))
            size, rest = size + len(parts[-1]), unpacker.unconsumed_tail
            require_no_bomb(size, len(data), where=where)
            if size > MAX_BYTES:
                raise SourceError(
                    f"unpacked, the file has more than {MAX_BYTES // 2**20} MiB.",
                    where=where,
                    fix="Split it.",
                )
    except zlib.error as error:
        raise SourceError(
            f"the gzip file is broken: {error}.", where=where, fix="Pack it again."
        ) from None
    if not unpacker.eof or unpacker.unused_data.strip(b"\0"):
        raise SourceError(
            "the gzip file is cut off, or has more than one part.",
            where=where,
            fix="Pack it again.",
        )
    return b"".join(parts)


def _rows(text: str, delimiter: str, where: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        # a StringIO would take four bytes a character
        io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline=""),
        delimiter=delimiter,
        skipinitialspace=delimiter != "\t",
        strict=True,
    )
    try:
        for row in reader:
            if row:  # a blank line is no row
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise SourceError(
            f"line {reader.line_num}: {error}.",
            where=where,
            fix="Quotes must close, and a quote inside quotes is doubled.",
        ) from None


def _delimiter(text: str, target: str, where: str) -> str:
    """Return the delimiter under which the header has the target, else the one that finds most
    columns. Between quoted names no other one can stand.

    Raises:
        SourceError: The header can be read under none.
    """
    found, refusals = {}, []
    for at, delimiter in enumerate(DELIMITERS):
        try:
            _, header = next(_rows(text, delimiter, where))
        except SourceError as error:
            refusals.append(error)
            continue
        found[delimiter] = (target in header, len(header), -at)
    if not found:
        raise refusals[0]
    return max(found, key=lambda delimiter: found[delimiter])


def read_cells(
    path: Path, *, target: str, delimiter: str = "auto", encoding: str = "utf-8"
) -> Cells:
    """Return a file's cells.

    Args:
        path: A text file with a header, or one packed by gzip.
        target: The target column's name; it helps to tell the delimiter.
        delimiter: One character, or `auto`: `,`, `;`, tab or `|`, whichever fits the header.
        encoding: Of the text. A byte order mark is skipped.

    Raises:
        SourceError: Missing, empty, not text, ragged, without a header, with a column named twice;
            the message has the line.
    """
    where, text = path.name, read_text(path, encoding)
    rows = _rows(text, _delimiter(text, target, where) if delimiter == "auto" else delimiter, where)
    _, header = next(rows)
    names = _header(header, where)
    table, lines = [], []
    for line, row in rows:
        if len(row) != len(names):
            fix = (
                "Quote cells that hold the delimiter, and write empty cells as nothing between "
                "delimiters."
            )
            raise SourceError(
                f"line {line} has {len(row)} cells, the header has {len(names)}.",
                where=where,
                fix=fix,
            )
        table.append(row)
        lines.append(line)
        if len(table) * len(names) > MAX_CELLS:
            raise SourceError(
                f"the file has more than {MAX_CELLS:,} cells.",
                where=where,
                fix="Take a part of the rows, or save them as npz.",
            )
    if not table:
        raise SourceError(
            "the file is empty: it has a header and no rows.", where=where, fix="Bring rows."
        )
    unnamed = frozenset(name for name, said in zip(names, header, strict=True) if not said)
    return Cells(
        where,
        {name: list(cells) for name, cells in zip(names, zip(*table, strict=True), strict=True)},
        lines,
        unnamed,
    )


def _header(header: list[str], where: str) -> list[str]:
    if len(header) > MAX_COLUMNS:
        raise SourceError(
            f"the header has {len(header)} columns, more than {MAX_COLUMNS}.",
            where=where,
            fix="Save wide data as npz.",
        )
    if all(_is_number(name) for name in header):
        raise SourceError(
            "the first line holds numbers, not names: the file has no header.",
            where=where,
            fix="Add a line with the columns' names.",
        )
    names = [name or f"column {at + 1}" for at, name in enumerate(header)]
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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
