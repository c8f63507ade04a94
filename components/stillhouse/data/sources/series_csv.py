"""Series in long form: a line a moment, with its recording, its channels and its target; recordings
are cut into windows.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse import config
from stillhouse.config import Count, InputFile
from stillhouse.data.codes import class_codes, group_code, require_classes
from stillhouse.data.columns import MISSING, Column, encode
from stillhouse.data.dataset import Dataset
from stillhouse.data.delimited import Cells, read_cells
from stillhouse.data.notices import WindowsLeftOut
from stillhouse.data.rows import Rows, read_rows, require_columns
from stillhouse.data.schema import Feature, Schema, Task
from stillhouse.data.source import Source
from stillhouse.data.sources.csv import moment, require_all
from stillhouse.data.windows import Naming, name_of, recordings, windows
from stillhouse.errors import SettingsError, SourceError, nearest

MAX_BYTES = 4 * 2**30  # of all windows as float32


class SeriesCsv(Source):
    """Reads a text file with a header, a line a moment, and cuts each recording into windows [T,
    channels]; a row's number is its window's place.

    Overlapping windows share moments: split them `by: group`, or a model is tested on what it
        learned from.

    Args:
        path: The file, plain or gzip.
        recording: The column that says which lines belong together; their order in the file is
            their order in time.
        target: The column to predict; a missing cell means an unlabelled line.
        window: T, lines a window.
        stride: Lines from one window's beginning to the next one's; None: the window's length, so
            that they do not overlap.
        time: A column of numbers or ISO dates that never falls within a recording; a window's time
            is its last line's.
        channels: Columns of numbers; empty: every column that has no other part.
        group: A column of patients, machines or wearers, one a recording; None: the recording
            itself.
        drop: Columns to leave out.
        naming: A window's class is what `most` of its labelled lines say, or what its `last` line
            says.
        gaps: What a window with a missing channel is: `refuse` stops and names the line, `skip`
            leaves the window out.
        units: Channel → unit, for people.
        missing: Texts that mean a missing cell.
        delimiter: `auto` finds `,`, `;`, tab or `|`.
        decimal: The decimal mark.
        encoding: Of the text.
    """

    kinds = frozenset({"series"})
    task: Task | None = "classification"

    def __init__(
        self,
        *,
        path: InputFile,
        recording: str,
        target: str,
        window: Count,
        stride: Count | None = None,
        time: str | None = None,
        channels: tuple[str, ...] = (),
        group: str | None = None,
        drop: tuple[str, ...] = (),
        naming: Naming = "most",
        gaps: Literal["refuse", "skip"] = "refuse",
        units: Mapping[str, str] = {},
        missing: tuple[str, ...] = MISSING,
        delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto",
        decimal: Literal[".", ","] = ".",
        encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8",
    ) -> None:
        self.path, self.recording, self.target, self.time, self.group = (
            path,
            recording,
            target,
            time,
            group,
        )
        self.window, self.stride, self.naming, self.gaps = window, stride or window, naming, gaps
        self.channels, self.drop, self.units = channels, drop, dict(units)
        self.missing, self.delimiter, self.decimal, self.encoding = (
            frozenset(missing),
            delimiter,
            decimal,
            encoding,
        )
        if len(set(channels)) < len(channels):
            raise SettingsError(
                f"the channels {list(channels)} name one twice.",
                where="prepare.source.channels",
                fix="Name each once.",
            )

    def read(self, root: Path) -> Dataset:
        cells = read_cells(
            config.file_of(self.path, root),
            target=self.target,
            delimiter=self.delimiter,
            encoding=self.encoding,
        )
        names = self._channels(cells)
        labels = self._column(cells, self.target, "target").cells
        rows = self._recordings(cells)
        values = np.stack(
            [encode(self._column(cells, name, "channels"), "number")[0] for name in names], axis=1
        )
        places = self._windows(rows, values, cells, names)
        inputs = torch.from_numpy(values[places])
        targets, classes = class_codes(
            [name_of([labels[at] for at in window], self.naming) for window in places.tolist()]
        )
        schema = Schema(
            "series",
            (self.window, len(names)),
            classes,
            tuple(Feature(name, unit=self.units.get(name, "")) for name in names),
        )
        first, last = places[:, 0], places[:, -1]
        groups, time = self._groups(cells, rows), self._times(cells, rows)
        when = None if time is None else time[last]
        begun = zip(cells.columns[self.recording], cells.lines, strict=True)
        called = [f"{name} {cells.each} {line}" for name, line in begun]
        keys = tuple(called[at] for at in first.tolist())
        dataset = Dataset(
            inputs, targets, schema, torch.arange(len(inputs)), groups[first], when, keys
        )
        require_classes(dataset, where=f"{cells.file}, column '{self.target}'")
        return dataset

    def rows(self, path: Path, schema: Schema) -> Rows:
        """Windows of the file's recordings; of all its lines, where it does not part them."""
        if path.suffix == ".npz":
            return read_rows(path, schema)
        names = [feature.name for feature in schema.features]
        cells = read_cells(path, target=names[0], delimiter=self.delimiter, encoding=self.encoding)
        require_columns(cells, schema)
        parted = self.recording in cells.columns
        rows = self._recordings(cells) if parted else {path.stem: list(range(len(cells.lines)))}
        if self.time in cells.columns:
            self._times(cells, rows)
        values = np.stack(
            [encode(self._column(cells, name, "channels"), "number")[0] for name in names], axis=1
        )
        places = self._places(rows, values, cells)
        whose = {at: name for name, lines in rows.items() for at in lines}
        gapped = np.isnan(values[places]).any(axis=(1, 2))
        why = "a channel has no value in this window"
        return Rows(
            torch.from_numpy(values[places]),
            {int(at): why for at in np.flatnonzero(gapped)},
            names=tuple(f"{whose[at]} {cells.each} {cells.lines[at]}" for at in places[:, 0]),
        )

    def _column(self, cells: Cells, name: str, what: str) -> Column:
        found = [None if cell in self.missing else cell for cell in cells.column(name, what)]
        return Column(name, found, cells.lines, cells.file, self.decimal, cells.each)

    def _channels(self, cells: Cells) -> list[str]:
        parts = {self.recording, self.target, self.time, self.group}
        names = list(self.channels) or [
            name for name in cells.columns if name not in parts | set(self.drop)
        ]
        for setting, given in {
            "channels": self.channels,
            "drop": self.drop,
            "units": tuple(self.units),
        }.items():
            for name in given:
                if name not in cells.columns:
                    raise SettingsError(
                        f"{cells.file} has no column '{name}'.",
                        where=f"prepare.source.{setting}",
                        fix=nearest(name, list(cells.columns)),
                    )
        taken = next((name for name in names if name in parts), None)
        if taken is not None:
            raise SettingsError(
                f"the column '{taken}' is no channel: it has another part.",
                where="prepare.source.channels",
                fix="Leave it out there.",
            )
        if not names:
            raise SourceError(
                "no column is left to learn from.",
                where=cells.file,
                fix="Bring channels beside the target, or drop fewer.",
            )
        return names

    def _recordings(self, cells: Cells) -> dict[str, list[int]]:
        column = self._column(cells, self.recording, "recording")
        require_all(column, "recording")
        return recordings([cell for cell in column.cells if cell is not None])

    def _windows(
        self,
        rows: dict[str, list[int]],
        values: NDArray[np.float32],
        cells: Cells,
        names: list[str],
    ) -> NDArray[np.int64]:
        places = self._places(rows, values, cells)
        gap: NDArray[np.bool_] = np.isnan(values)
        if self.gaps == "refuse" and gap.any():
            at, channel = (int(i) for i in np.argwhere(gap)[0])
            fix = (
                "Fill it, leave the recording out, or set gaps: skip to leave out windows with a "
                "gap."
            )
            said = (
                f"{cells.each} {cells.lines[at]} has no value ({int(gap.any(axis=1).sum())} such "
                f"{cells.each}s); a series may have no gap."
            )
            raise SourceError(said, where=f"{cells.file}, column '{names[channel]}'", fix=fix)
        gapped: NDArray[np.bool_] = np.any(gap, axis=1)
        whole = ~gapped[places].any(axis=1)
        if not whole.any():
            raise SourceError(
                "every window has a missing value.",
                where=cells.file,
                fix="Set a smaller window, or drop the channel that has most gaps.",
            )
        gone = int((~whole).sum())
        short = sum(len(at) < self.window for at in rows.values())
        if short or gone:
            said = (
                f"{cells.file}: {gone} windows have a missing value and {short} of "
                f"{len(rows)} recordings are shorter than a window; they are no rows."
            )
            warnings.warn(said, WindowsLeftOut, stacklevel=2)
        return places[whole]

    def _places(
        self, rows: dict[str, list[int]], values: NDArray[np.float32], cells: Cells
    ) -> NDArray[np.int64]:
        """Return the lines [W, T] of every window."""
        places = windows(rows, length=self.window, stride=self.stride).places
        if not len(places):
            longest = max(len(at) for at in rows.values())
            raise SourceError(
                f"no recording has {self.window} lines; the longest has {longest}.",
                where=cells.file,
                fix="Set a smaller window.",
            )
        if places.size * values.shape[1] * 4 > MAX_BYTES:
            said = (
                f"{len(places):,} windows of the shape ({self.window}, {values.shape[1]}) "
                f"would take more than {MAX_BYTES // 2**30} GiB."
            )
            raise SourceError(
                said, where=cells.file, fix="Set a larger stride, or a smaller window."
            )
        return places

    def _groups(self, cells: Cells, rows: dict[str, list[int]]) -> Tensor:
        """Return a code a line [N]; all lines of a recording have the same one."""
        column = self._column(cells, self.group or self.recording, "group")
        require_all(column, "group")
        for name, at in rows.items():
            other = next(
                (place for place in at if column.cells[place] != column.cells[at[0]]), None
            )
            if other is not None:
                said = (
                    f"{cells.each} {cells.lines[other]} names '{column.cells[other]}', the "
                    f"recording '{name}' began with '{column.cells[at[0]]}'."
                )
                raise SourceError(
                    said,
                    where=column.where,
                    fix="A recording has one group: give its parts their own recordings.",
                )
        codes = {
            cell: group_code(cell) for cell in {cell for cell in column.cells if cell is not None}
        }
        return torch.tensor(
            [codes[cell] for cell in column.cells if cell is not None], dtype=torch.int64
        )

    def _times(self, cells: Cells, rows: dict[str, list[int]]) -> Tensor | None:
        """Return a time a line [N]."""
        if self.time is None:
            return None
        column = self._column(cells, self.time, "time")
        require_all(column, "time")
        times = torch.tensor(
            [moment(column, cell) for cell in column.cells if cell is not None], dtype=torch.float64
        )
        for name, at in rows.items():
            fell = (times[at].diff() < 0).nonzero().flatten()
            if len(fell):
                before, after = at[int(fell[0])], at[int(fell[0]) + 1]
                said = (
                    f"{cells.each} {cells.lines[after]} says {column.cells[after]} after "
                    f"{column.cells[before]}: time runs backwards in the recording '{name}'."
                )
                raise SourceError(
                    said,
                    where=column.where,
                    fix="Sort the lines by time, or name the column that parts recordings.",
                )
        return times
