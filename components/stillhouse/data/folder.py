"""Files as rows: which files a folder holds, and which label and group each one has."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.data.codes import class_codes, group_code
from stillhouse.data.filenames import Pattern
from stillhouse.errors import SourceError

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Rows:
    """Files in the order of their names; a row's number is its place.

    Attributes:
        root: The folder.
        files: N places below it.
        targets: [N], int64 codes.
        classes: Names by code.
        groups: [N], int64 codes, or None where the names say nothing of groups.
    """

    root: Path
    files: tuple[Path, ...]
    targets: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None

    def name(self, file: Path) -> str:
        """Return a file's place below the folder, for messages."""
        return file.relative_to(self.root).as_posix()


def rows_of(root: Path, pattern: Pattern | None) -> Rows:
    """Return the files of a folder with what their folders and names say.

    A class is a folder of files, and folders inside it belong to it; where the pattern has
    `{label}`, names alone say the class. Names that begin with a point are no rows, nor are links,
    which could lead out of the folder.

    Raises:
        SourceError: The folder is missing or holds no file, a file stands beside the class folders,
            is too large, or its name does not follow the pattern.
    """
    if not root.is_dir():
        what = "is no folder" if root.exists() else "is missing"
        raise SourceError(
            f"the folder '{root.name}' {what}: {root}.",
            where=root.name,
            fix="Check the path; an archive must be unpacked first.",
        )
    files = _files(root)
    named = pattern is not None and "label" in pattern.fields
    labels, groups = [], []
    for file in files:
        parts = file.relative_to(root).parts
        where = "/".join(parts)
        said = pattern.read(file.stem, where=where) if pattern else {}
        if not named and len(parts) < 2:
            raise SourceError(
                "the file stands beside the class folders, so that it has no class.",
                where=where,
                fix="Move it into a folder, or take it out.",
            )
        labels.append(said["label"] if named else parts[0])
        groups.append(said.get("group"))
    targets, classes = class_codes(labels)
    codes = torch.tensor(
        [group_code(group) for group in groups if group is not None], dtype=torch.int64
    )
    return Rows(root, tuple(files), targets, classes, codes if len(codes) else None)


def _files(root: Path) -> list[Path]:
    found = [
        path
        for path in root.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not found:
        raise SourceError(
            "the folder holds no file.",
            where=root.name,
            fix="It needs a folder a class, with files in it.",
        )
    if len(found) > MAX_FILES:
        raise SourceError(
            f"the folder holds {len(found):,} files, more than {MAX_FILES:,}.",
            where=root.name,
            fix="Split it.",
        )
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def read_file(rows: Rows, file: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        SourceError: It has more than 64 MiB.
    """
    if file.stat().st_size > MAX_FILE_BYTES:
        raise SourceError(
            f"the file has more than {MAX_FILE_BYTES // 2**20} MiB.",
            where=rows.name(file),
            fix="Make it smaller, or take it out.",
        )
    return file.read_bytes()
