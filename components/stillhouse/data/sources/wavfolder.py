"""Recordings in WAV files: a folder a class, or names that say class and speaker."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stillhouse import config
from stillhouse.config import Count, InputFile
from stillhouse.data.codes import require_classes
from stillhouse.data.dataset import Dataset
from stillhouse.data.filenames import Pattern
from stillhouse.data.folder import asked_files, read_file, rows_of
from stillhouse.data.rows import Rows, read_rows
from stillhouse.data.schema import Feature, Schema, Task
from stillhouse.data.sound import Sound, fitted, sound, thinned
from stillhouse.data.source import Source
from stillhouse.errors import SourceError

MAX_BYTES = 4 * 2**30  # of all recordings as float32


class WavFolder(Source):
    """Reads recordings as series [T, 1] in [-1, 1], in the order of their names; a row's number is
    its place in it.

    Files are uncompressed (PCM), of one channel, of 8 or 16 bits and all of one rate; what a file
    is, its bytes say.

    Args:
        path: The folder, or a zip, tar or tar.gz of it, which is read without being unpacked; the
            class is the name of the folder inside it, unless the pattern says it.
        length: T, samples of a row after thinning: longer recordings lose their end, shorter ones
            get silence after it.
        decimate: Every so many samples become their mean: 8,000 a second and 4 give 2,000.
        pattern: What names say: `{label}_{group}_{n}` reads class 7 and speaker anna from
            `7_anna_3.wav`; groups serve `split: {by: group}`.
    """

    kinds = frozenset({"series"})
    task: Task | None = "classification"

    def __init__(
        self, *, path: InputFile, length: Count, decimate: Count = 1, pattern: str | None = None
    ) -> None:
        self.path, self.length, self.decimate = path, length, decimate
        self.pattern = (
            None if pattern is None else Pattern.of(pattern, where="prepare.source.pattern")
        )

    def read(self, root: Path) -> Dataset:
        rows = rows_of(config.file_of(self.path, root), self.pattern)
        if len(rows.files) * self.length * 4 > MAX_BYTES:
            said = (
                f"{len(rows.files):,} recordings of {self.length:,} samples would take more than "
                f"{MAX_BYTES // 2**30} GiB."
            )
            raise SourceError(said, where=rows.root.name, fix="Set a smaller length, or decimate.")
        inputs = np.zeros((len(rows.files), self.length, 1), dtype=np.float32)
        rate = 0
        for at, file in enumerate(rows.files):
            found = sound(read_file(rows, file), rows.name(file))
            rate = rate or found.rate
            if found.rate != rate:
                said = f"it has {found.rate:,} samples a second, the files before it {rate:,}."
                raise SourceError(said, where=rows.name(file), fix="Bring recordings of one rate.")
            inputs[at, :, 0] = self._row(found)
        features = (Feature("amplitude", low=-1.0, high=1.0),)
        schema = Schema("series", (self.length, 1), rows.classes, features, rate=rate)
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
        files, refused = asked_files(path), dict[int, str]()
        inputs = np.zeros((len(files), self.length, 1), dtype=np.float32)
        for at, (name, data) in enumerate(files):
            found = sound(data, name)
            if schema.rate and found.rate != schema.rate:
                refused[at] = (
                    f"it has {found.rate:,} samples a second, the model learned from "
                    f"{schema.rate:,}: resample it"
                )
                continue
            inputs[at, :, 0] = self._row(found)
        return Rows(torch.from_numpy(inputs), refused, names=tuple(name for name, _ in files))

    def _row(self, found: Sound) -> NDArray[np.float32]:
        return fitted(thinned(found.samples, self.decimate), self.length)
