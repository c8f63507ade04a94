"""Images and labels as MNIST has them: two IDX files, plain or packed by gzip."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse import config
from stillhouse.config import InputFile
from stillhouse.data.bombs import require_no_bomb
from stillhouse.data.codes import class_codes, require_classes
from stillhouse.data.dataset import Dataset
from stillhouse.data.rows import Rows, read_rows
from stillhouse.data.schema import Feature, Schema, Task
from stillhouse.data.source import Source
from stillhouse.errors import SourceError

MAX_BYTES = 2**30  # of one file, unpacked; as float32 an image takes four times that
TYPES = {
    0x08: ">u1",
    0x09: ">i1",
    0x0B: ">i2",
    0x0C: ">i4",
}  # the format's floats are neither pixels nor classes
PIXELS = 0x08


class Idx(Source):
    """Reads grey images of one byte a pixel, scaled to [0, 1], and their labels.

    Args:
        images: The IDX file [N, height, width]; gzip is told by its bytes, not its name.
        labels: The IDX file [N] of whole numbers.
        classes: Class names by code, for labels 0 to C − 1; empty: the labels' own values.

    Source:
        LeCun, Cortes and Burges, The MNIST database, section on the file format.
    """

    kinds = frozenset({"image"})
    task: Task | None = "classification"

    def __init__(
        self, *, images: InputFile, labels: InputFile, classes: tuple[str, ...] = ()
    ) -> None:
        self.images, self.labels, self.classes = images, labels, classes

    def read(self, root: Path) -> Dataset:
        images, labels = config.file_of(self.images, root), config.file_of(self.labels, root)
        inputs, codes = _images(images), read_idx(labels, axes=1)
        if len(inputs) != len(codes):
            raise SourceError(
                f"there are {len(inputs)} images and {len(codes)} labels.",
                where=f"{images.name}, {labels.name}",
                fix="Bring a pair of files.",
            )
        targets, classes = self._targets(codes, labels.name)
        dataset = Dataset(
            inputs,
            targets,
            Schema(
                "image", tuple(inputs.shape[1:]), classes, (Feature("grey", low=0.0, high=1.0),)
            ),
            torch.arange(len(inputs)),
        )
        require_classes(dataset, where=labels.name)
        return dataset

    def rows(self, path: Path, schema: Schema) -> Rows:
        if path.suffix == ".npz":
            return read_rows(path, schema)
        images = _images(path)
        if images.shape[1:] != schema.shape:
            raise SourceError(
                f"its images are {tuple(images.shape[1:])}, the model takes {schema.shape}.",
                where=path.name,
                fix="Bring images of that size.",
            )
        return Rows(images)

    def _targets(self, codes: NDArray[Any], where: str) -> tuple[Tensor, tuple[str, ...]]:
        if not self.classes:
            return class_codes([str(code) for code in codes.tolist()])
        unknown = (codes < 0) | (codes >= len(self.classes))
        if unknown.any():
            row = int(unknown.argmax())
            said = (
                f"row {row} has the label {codes[row]}, but there are {len(self.classes)} classes."
            )
            raise SourceError(said, where=where, fix="Mend the source's classes.")
        return torch.from_numpy(codes.astype(np.int64)), self.classes


def _images(path: Path) -> Tensor:
    """Return [N, 1, height, width] in [0, 1]."""
    pixels = read_idx(path, axes=3)
    if pixels.dtype != np.dtype(TYPES[PIXELS]):
        raise SourceError(
            f"its values are {pixels.dtype.name}, not bytes.",
            where=path.name,
            fix="Save pixels as unsigned bytes.",
        )
    return torch.from_numpy(pixels.astype(np.float32)).div_(255).unsqueeze_(1)


def read_idx(path: Path, *, axes: int) -> NDArray[Any]:
    """Return an IDX file's array of whole numbers.

    Args:
        path: The file, plain or gzip.
        axes: How many it must have.

    Raises:
        SourceError: Missing, not IDX, of other axes, too large, cut off or followed by something;
            sizes are held to the header before anything is unpacked.
    """
    where = path.name
    if not path.is_file():
        raise SourceError(
            f"the file '{where}' is missing: there is none at {path}.",
            where=where,
            fix="Check the path; relative ones start at params.yaml.",
        )
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            if not packed:
                return _array(file, axes, path)
            with gzip.GzipFile(fileobj=file) as inner:
                return _array(cast(BinaryIO, inner), axes, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(
                f"the gzip file is broken or cut off: {error}.",
                where=where,
                fix="Copy or pack it again.",
            ) from None


def _array(file: BinaryIO, axes: int, path: Path) -> NDArray[Any]:
    where, head = path.name, file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or not head[3]:
        raise SourceError(
            "the file is not IDX: its first bytes are other ones.",
            where=where,
            fix="Bring a file as MNIST's, or choose another source.",
        )
    if head[2] not in TYPES:
        raise SourceError(
            f"its values are of the type {head[2]:#04x}, not whole numbers.",
            where=where,
            fix="Save bytes, or use the source npz.",
        )
    if head[3] != axes:
        wanted = "images [N, height, width]" if axes == 3 else "labels [N]"
        fix = "Swap the settings images and labels if they are in the wrong place."
        raise SourceError(
            f"the file has {head[3]} axes, {wanted} have {axes}.", where=where, fix=fix
        )
    sizes = file.read(4 * axes)
    shape = tuple(np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist())
    if len(shape) < axes:
        raise SourceError("the file is cut off in its header.", where=where, fix="Copy it again.")
    kind = np.dtype(TYPES[head[2]])
    size = math.prod(shape) * kind.itemsize
    if size > MAX_BYTES or not size:
        limit = "nothing is in it" if not size else f"more than {MAX_BYTES // 2**20} MiB"
        raise SourceError(
            f"its header promises the shape {shape}: {limit}.",
            where=where,
            fix="Check the file, or split it.",
        )
    require_no_bomb(size, path.stat().st_size, where=where)
    data = file.read(size + 1)
    if len(data) != size:
        said = f"it is cut off after {len(data)} of them" if len(data) < size else "more follow"
        raise SourceError(
            f"its header promises {size} bytes, {said}.", where=where, fix="Copy it again."
        )
    return np.frombuffer(data, kind).reshape(shape)
