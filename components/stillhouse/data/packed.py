"""A folder in a zip or tar file, read without ever being unpacked onto the disk: no name in it can
lead anywhere.
"""

import gzip
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from stillhouse.data.bombs import require_no_bomb
from stillhouse.errors import SourceError

if TYPE_CHECKING:
    from io import BufferedReader

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 64 * 2**20
MAX_BYTES = 2 * 2**30  # of all files; they are held in memory
LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
TAR_MAGIC = b"ustar"
MAGIC = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gzip"}


def kind_of(path: Path) -> str:
    """Return `zip`, `gzip` or `tar` by a file's first bytes; empty if it is none of them."""
    with path.open("rb") as file:
        head = file.read(262)
    if head[257:262] == TAR_MAGIC:
        return "tar"
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "")


def members(path: Path) -> dict[str, bytes]:
    """Return the regular files of an archive, name → bytes; of names that all begin with one
    folder, that folder is left out. Hidden files are, too.

    Raises:
        SourceError: It is no zip, tar or tar.gz, is broken, a bomb or too large, or holds a link, a
            device, a name twice, or one that would lead out of a folder.
    """
    kind = kind_of(path)
    if not kind:
        raise SourceError(
            "the file is no folder, and no zip, tar or tar.gz by its first bytes.",
            where=path.name,
            fix="Name a folder, or unpack the archive first.",
        )
    found: dict[str, bytes] = {}
    total = 0
    try:
        for name, data in _zipped(path) if kind == "zip" else _taped(path, kind):
            total += len(data)
            if total > MAX_BYTES or len(found) >= MAX_FILES:
                raise SourceError(
                    f"it holds more than {MAX_BYTES // 2**20:,} MiB or {MAX_FILES:,} files.",
                    where=path.name,
                    fix="Unpack it, and name a folder.",
                )
            if name in found:
                raise SourceError(
                    f"it holds '{name}' twice.", where=path.name, fix="Pack the folder again."
                )
            found[name] = data
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        said = str(error)[:120] or type(error).__name__
        raise SourceError(
            f"the archive is broken: {said}.", where=path.name, fix="Pack the folder again."
        ) from None
    return _without_top({name: data for name, data in found.items() if not hidden(name)})


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        listed = archive.infolist()
        declared = sum(info.file_size for info in listed)
        require_no_bomb(declared, path.stat().st_size, where=path.name, what="archive")
        if declared > MAX_BYTES:
            raise SourceError(
                f"unpacked, it has {declared / 2**20:,.0f} MiB, more than {MAX_BYTES // 2**20:,}.",
                where=path.name,
                fix="Unpack it, and name a folder.",
            )
        for info in listed:
            if info.is_dir():
                continue
            kind = (info.external_attr >> 16) & 0o170000  # of a Unix file; 0 where none is told
            if kind not in (0, 0o100000):
                raise _odd(path, info.filename)
            name = _safe(info.filename, path)
            _require_size(info.file_size, name, path)
            yield name, archive.read(info)


def _taped(path: Path, kind: str) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as raw:
        plain = gzip.GzipFile(fileobj=raw) if kind == "gzip" else raw
        stream = _Counted(plain, path)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise _odd(path, member.name)
                name = _safe(member.name, path)
                _require_size(member.size, name, path)
                file = archive.extractfile(member)
                data = b"" if file is None else file.read()
                if len(data) != member.size:
                    raise EOFError(f"'{name}' is cut off")
                yield name, data


class _Counted:
    """A stream that ends when more comes out than any harmless archive holds, whatever tarfile asks
    for: a header may promise gigabytes of its own.
    """

    def __init__(self, stream: "gzip.GzipFile | BufferedReader", path: Path) -> None:
        self.stream, self.path, self.packed, self.total = stream, path, path.stat().st_size, 0

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        if size > MAX_FILE_BYTES:
            raise SourceError(
                f"a header of it promises {size / 2**20:,.0f} MiB.",
                where=self.path.name,
                fix="Pack the folder again.",
            )
        data = self.stream.read(size)
        self.total += len(data)
        require_no_bomb(self.total, self.packed, where=self.path.name, what="archive")
        return data


def _safe(name: str, path: Path) -> str:
    """Return a member's name, if no system could take it for a place outside a folder."""
    plain = unicodedata.normalize("NFC", name.removeprefix("./"))
    parts = plain.split("/")
    leads_out = plain.startswith("/") or "\\" in plain or ":" in parts[0] or ".." in parts
    if not plain or leads_out or any(not part.strip() for part in parts) or not plain.isprintable():
        raise SourceError(
            f"it holds the name {name[:80]!r}, which no folder would have.",
            where=path.name,
            fix="Pack the folder again, with plain names.",
        )
    return plain


def _odd(path: Path, name: str) -> SourceError:
    return SourceError(
        f"it holds '{name[:80]}', which is no regular file (a link or a device).",
        where=path.name,
        fix="Pack the folder again, without it.",
    )


def _require_size(size: int, name: str, path: Path) -> None:
    if size > MAX_FILE_BYTES:
        raise SourceError(
            f"'{name}' has more than {MAX_FILE_BYTES // 2**20} MiB.",
            where=path.name,
            fix="Make it smaller, or take it out.",
        )


def hidden(name: str) -> bool:
    """Whether a name is no user's file: hidden, or what a file manager leaves in every folder."""
    parts = PurePosixPath(name).parts
    return (
        parts[-1].lower() in LEFT_BY_SYSTEMS
        or "__MACOSX" in parts
        or any(part.startswith(".") for part in parts)
    )


def _without_top(found: dict[str, bytes]) -> dict[str, bytes]:
    tops = {PurePosixPath(name).parts[0] for name in found}
    deep = all(len(PurePosixPath(name).parts) > 1 for name in found)
    if len(tops) != 1 or not deep:
        return found
    return {name.partition("/")[2]: data for name, data in found.items()}
