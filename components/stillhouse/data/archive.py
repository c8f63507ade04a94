"""Read a zip of numpy arrays without trusting it: sizes are held to what is declared, before
anything is unpacked, and nothing is unpickled.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.bombs import require_no_bomb
from stillhouse.errors import SourceError

MAX_BYTES = 4 * 2**30  # unpacked


def read_arrays(path: Path, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the named arrays that an npz file holds; names that are not there are left out.

    Raises:
        SourceError: It is missing, not an npz whatever its name says, too large, broken, or holds
            Python objects; the message names the file.
    """
    where = path.name
    _require_zip(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _require_size(archive, path)
            names = {f"{name}.npy": name for name in wanted}
            return {
                names[info.filename]: _read(
                    archive, info, f"{where}, array '{names[info.filename]}'"
                )
                for info in archive.infolist()
                if info.filename in names
            }
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise SourceError(
            f"the archive is broken: {error}.", where=where, fix="Save it again with np.savez."
        ) from None


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays that an npz file holds, in its order."""
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _require_zip(path: Path) -> None:
    if not path.is_file():
        raise SourceError(
            f"the file '{path.name}' is missing: there is none at {path}.",
            where=path.name,
            fix="Check the path; relative ones start at params.yaml.",
        )
    with path.open("rb") as file:
        magic = file.read(6)
    if magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return
    kinds = {
        b"\x80": "a pickle",
        b"\x93": "a single array (npy)",
        b"\x1f": "a gzip file",
        b"": "empty",
    }
    kind = kinds.get(magic[:1], "something else")
    raise SourceError(
        f"the file is not an npz archive but {kind}.",
        where=path.name,
        fix="Save it with np.savez(file, inputs=…, targets=…); nothing is ever unpickled.",
    )


def _require_size(archive: zipfile.ZipFile, path: Path) -> None:
    declared, packed = (
        sum(info.file_size for info in archive.infolist()),
        max(path.stat().st_size, 1),
    )
    require_no_bomb(declared, packed, where=path.name, what="archive")
    if declared > MAX_BYTES:
        raise SourceError(
            f"unpacked, the archive would take {declared / 2**20:,.0f} MiB, more than "
            f"{MAX_BYTES // 2**20:,}.",
            where=path.name,
            fix="Save fewer rows in a file.",
        )


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    with archive.open(info) as file:
        shape, dtype, header = _header(file, where)
    if dtype.hasobject:
        raise SourceError(
            "the array holds Python objects, which would have to be unpickled.",
            where=where,
            fix="Save numbers, or strings of one length (dtype str).",
        )
    if math.prod(shape) * dtype.itemsize + header != info.file_size:
        raise SourceError(
            f"its header promises the shape {shape}, its bytes do not hold it.",
            where=where,
            fix="Save it again.",
        )
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _header(file: Any, where: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, dtype and the header's own length."""
    stream: BinaryIO = file
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise SourceError(
            f"the array is in the npy format {version[0]}.{version[1]}.",
            where=where,
            fix="Save it with plain number or string types.",
        )
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(stream)
    return shape, dtype, stream.tell()
