"""Images in folders: a folder a class, PNG or JPEG."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval

from stillhouse import config
from stillhouse.config import InputFile
from stillhouse.data.codes import require_classes
from stillhouse.data.dataset import Dataset
from stillhouse.data.filenames import Pattern
from stillhouse.data.folder import Rows as Files
from stillhouse.data.folder import asked_files, read_file, rows_of
from stillhouse.data.pictures import Channels, Header, header, pixels
from stillhouse.data.rows import Rows, read_rows, rows_of_inputs
from stillhouse.data.schema import Feature, Schema, Task
from stillhouse.data.source import Source
from stillhouse.errors import SourceError

MAX_BYTES = 4 * 2**30  # of all images as float32


class ImageFolder(Source):
    """Reads images in the order of their names; a row's number is its place in it.

    A file is what its bytes say: a JPEG named `.png` is read as the JPEG that it is, and anything
    but PNG and JPEG is refused by name. Photographs are turned the way their EXIF says that they
    were taken.

    Args:
        path: The folder, or a zip, tar or tar.gz of it, which is read without being unpacked; the
            class is the name of the folder inside it.
        channels: `grey`, `rgb`, or `auto`: grey where every image is.
        resize: The side of the square that images are brought to; their proportions are not kept.
            None: they must be of one size already.
        pattern: What names say, such as `{group}_{n}` (a patient, a photographer) or `{label}_{n}`,
            which then stands for the folder.
    """

    kinds = frozenset({"image"})
    task: Task | None = "classification"

    def __init__(
        self,
        *,
        path: InputFile,
        channels: Literal["auto", "grey", "rgb"] = "auto",
        resize: Annotated[int, Interval(ge=1, le=1024)] | None = None,
        pattern: str | None = None,
    ) -> None:
        self.path, self.channels, self.resize = path, channels, resize
        self.pattern = (
            None if pattern is None else Pattern.of(pattern, where="prepare.source.pattern")
        )

    def read(self, root: Path) -> Dataset:
        rows = rows_of(config.file_of(self.path, root), self.pattern)
        headers = [header(read_file(rows, file), rows.name(file)) for file in rows.files]
        size = (self.resize, self.resize) if self.resize else _one_size(headers, rows)
        channels = self._channels(headers)
        shape = (1 if channels == "grey" else 3, *size)
        if len(headers) * np.prod(shape) * 4 > MAX_BYTES:
            said = (
                f"{len(headers):,} images of the shape {shape} would take more than "
                f"{MAX_BYTES // 2**30} GiB."
            )
            raise SourceError(
                said, where=rows.root.name, fix="Set a smaller resize, or take a part of them."
            )
        inputs = np.empty((len(headers), *shape), dtype=np.float32)
        for at, file in enumerate(rows.files):
            inputs[at] = pixels(read_file(rows, file), channels, self.resize, rows.name(file))
        names = ("grey",) if channels == "grey" else ("red", "green", "blue")
        schema = Schema(
            "image", shape, rows.classes, tuple(Feature(name, low=0.0, high=1.0) for name in names)
        )
        dataset = Dataset(
            torch.from_numpy(inputs),
            rows.targets,
            schema,
            torch.arange(len(inputs)),
            rows.groups,
            keys=tuple(rows.name(file) for file in rows.files),
        )
        require_classes(dataset, where=rows.root.name)
        return dataset

    def rows(self, path: Path, schema: Schema) -> Rows:
        if path.suffix == ".npz":
            return read_rows(path, schema)
        files = asked_files(path)
        channels: Channels = "grey" if schema.shape[0] == 1 else "rgb"
        shown = [pixels(data, channels, self.resize, name) for name, data in files]
        other = next((at for at, image in enumerate(shown) if image.shape != schema.shape), None)
        if other is not None:
            (_, high, wide), (_, height, width) = shown[other].shape, schema.shape
            raise SourceError(
                f"the image has {wide} × {high} pixels, the model takes {width} × {height}.",
                where=files[other][0],
                fix="Bring it to that size.",
            )
        found = rows_of_inputs(torch.from_numpy(np.stack(shown)), schema, path.name)
        return replace(found, names=tuple(name for name, _ in files))

    def _channels(self, headers: list[Header]) -> Channels:
        if self.channels != "auto":
            return self.channels
        return "grey" if all(found.grey for found in headers) else "rgb"


def _one_size(headers: list[Header], rows: Files) -> tuple[int, int]:
    counts = Counter(found.size for found in headers)
    usual = max(counts, key=lambda size: (counts[size], size))
    other = next((at for at, found in enumerate(headers) if found.size != usual), None)
    if other is not None:
        (height, width), (high, wide) = headers[other].size, usual
        said = (
            f"the image has {width} × {height} pixels, {counts[usual]} others have {wide} × {high}."
        )
        raise SourceError(
            said,
            where=rows.name(rows.files[other]),
            fix="Set the source's resize to the side of a square, or bring images of one size.",
        )
    return usual
