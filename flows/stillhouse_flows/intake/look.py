"""From a file or a folder to a source that reads it: the bytes say which kind it is."""

import gzip
from pathlib import Path

from stillhouse.errors import SourceError
from stillhouse_flows.intake import arrays, folders, tables
from stillhouse_flows.intake.hints import COLUMNS, Guess, Hints, refuse_hints


def place_of(path: Path, root: Path) -> str:
    """Return what params.yaml calls a file: relative to its own folder where it lies below it."""
    whole = path.resolve()
    below = whole.is_relative_to(root.resolve())
    return whole.relative_to(root.resolve()).as_posix() if below else str(whole)


def guess(path: Path, root: Path, hints: Hints) -> Guess:
    """Return how a file or folder can be read.

    Args:
        path: What the user named.
        root: The folder of params.yaml.
        hints: What else they said.

    Raises:
        SourceError: It is missing, or of no kind that can be read.
        UsageError: Something must be said that the data do not say.
    """
    if not path.exists():
        raise SourceError(
            f"there is no file or folder '{path}'.", where="--data", fix="Check the path."
        )
    place = place_of(path, root)
    if path.is_dir():
        refuse_hints(hints, COLUMNS, what="files of a folder", where=path.name)
        return folders.guess(path, place)
    magic = _magic(path)
    if magic[:4] == b"PK\x03\x04":
        return arrays.npz(path, place, hints)
    if magic[:3] == b"\x00\x00\x08":
        return arrays.idx(path, place, hints)
    if magic[:4] == b"\x89HDF" or magic[:6] == b"\x93NUMPY" or magic[:1] == b"\x80":
        kind = {b"\x89": "HDF5", b"\x93": "a single array (npy)"}.get(magic[:1], "a pickle")
        raise SourceError(
            f"the file is {kind}, which no source reads.",
            where=path.name,
            fix="Save a CSV, a Parquet table, or np.savez(file, inputs=…, targets=…).",
        )
    return tables.guess(path, place, hints)


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(8)
    if head[:2] != b"\x1f\x8b":
        return head
    with gzip.open(path) as packed:
        try:
            return packed.read(8)
        except (OSError, EOFError):  # the source says it better: cut off, or no gzip
            return head
