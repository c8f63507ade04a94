"""Files as rows: which files a folder, or an archive of one, holds, and which label and group each
has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from stillhouse.data.codes import class_codes, group_code
from stillhouse.data.filenames import Pattern
from stillhouse.data.packed import MAX_FILE_BYTES, MAX_FILES, hidden, kind_of, members
from stillhouse.errors import SourceError


@dataclass(frozen=True)
class Rows:
    """Files in the order of their names; a row's number is its place.

    Attributes:
        root: The folder, or the archive.
        files: N places below it.
        targets: [N], int64 codes.
        classes: Names by code.
        groups: [N], int64 codes, or None where the names say nothing of groups.
        packed: The files' bytes by name, where they come from an archive.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    targets: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None
    packed: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def name(self, file: PurePosixPath) -> str:
        """Return a file's place below the folder, for messages and as its row's key."""
        return file.as_posix()


def rows_of(root: Path, pattern: Pattern | None) -> Rows:
    """Return the files of a folder, or of a zip, tar or tar.gz of one, with what their folders and
    names say.

    A class is a folder of files, and folders inside it belong to it; where the pattern has
    `{label}`, names alone say the class. Names that begin with a point are no rows, nor is
    what file managers leave (`Thumbs.db`), nor are links, which could lead out of the folder.

    Raises:
        SourceError: The folder is missing or holds no file, a file stands beside the class folders,
            is too large, or its name does not follow the pattern; or the archive is not safe.
    """
    if not root.exists():
        raise SourceError(
            f"the folder '{root.name}' is missing: {root}.",
            where=root.name,
            fix="Check the path; relative ones start at params.yaml.",
        )
    packed = members(root) if root.is_file() else {}
    names = sorted(packed) if root.is_file() else _files(root)
    _require_some(names, root)
    files = tuple(PurePosixPath(name) for name in names)
    named = pattern is not None and "label" in pattern.fields
    labels, groups = [], []
    for file, name in zip(files, names, strict=True):
        said = pattern.read(file.stem, where=name) if pattern else {}
        if not named and len(file.parts) < 2:
            raise SourceError(
                "the file stands beside the class folders, so that it has no class.",
                where=name,
                fix="Move it into a folder, or take it out.",
            )
        labels.append(said["label"] if named else file.parts[0])
        groups.append(said.get("group"))
    targets, classes = class_codes(labels)
    codes = torch.tensor(
        [group_code(group) for group in groups if group is not None], dtype=torch.int64
    )
    return Rows(root, files, targets, classes, codes if len(codes) else None, packed)


def _files(root: Path) -> list[str]:
    found = [
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not hidden(path.relative_to(root).as_posix())
    ]
    return sorted(path.as_posix() for path in found)


def _require_some(names: list[str], root: Path) -> None:
    if not names:
        raise SourceError(
            "the folder holds no file.",
            where=root.name,
            fix="It needs a folder a class, with files in it.",
        )
    if len(names) > MAX_FILES:
        raise SourceError(
            f"the folder holds {len(names):,} files, more than {MAX_FILES:,}.",
            where=root.name,
            fix="Split it.",
        )


def asked_files(path: Path) -> list[tuple[str, bytes]]:
    """Return the files that are to be answered, by name, whatever folders they lie in: one file,
    or those of a folder or an archive.

    Raises:
        SourceError: There is none, or one is too large.
    """
    if path.is_file() and not kind_of(path):
        return [(path.name, _bytes(path, path.name))]
    if path.is_file():
        return sorted(members(path).items())
    if not path.exists():
        raise SourceError(
            f"'{path}' is missing: there is no such file or folder.",
            where=path.name,
            fix="Check the path.",
        )
    names = _files(path)
    _require_some(names, path)
    return [(name, _bytes(path / name, name)) for name in names]


def read_file(rows: Rows, file: PurePosixPath) -> bytes:
    """Return a file's bytes.

    Raises:
        SourceError: It has more than 64 MiB.
    """
    if rows.packed:
        return rows.packed[rows.name(file)]
    return _bytes(rows.root / file, rows.name(file))


def _bytes(place: Path, name: str) -> bytes:
    if place.stat().st_size > MAX_FILE_BYTES:
        raise SourceError(
            f"the file has more than {MAX_FILE_BYTES // 2**20} MiB.",
            where=name,
            fix="Make it smaller, or take it out.",
        )
    return place.read_bytes()
