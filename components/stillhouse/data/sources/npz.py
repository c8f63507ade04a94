"""Rows that numpy saved: images, series or tables in one npz file."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse import config
from stillhouse.config import InputFile, Positive
from stillhouse.data.archive import array_names, read_arrays
from stillhouse.data.codes import class_codes, group_code
from stillhouse.data.columns import feature_of_values
from stillhouse.data.dataset import UNLABELLED, Dataset
from stillhouse.data.labels import labels_of, several_labels
from stillhouse.data.rows import Rows, read_rows, rows_of_inputs, shaped
from stillhouse.data.schema import Feature, Kind, Schema
from stillhouse.data.source import Source
from stillhouse.data.targets import targets_of
from stillhouse.errors import SettingsError, SourceError

AXES: dict[str, int] = {"image": 4, "series": 3, "table": 2}
MAX_CHANNELS = 16


class Npz(Source):
    """Reads `inputs` and, where they are, `targets`, `groups` and `time` from an npz file.

    Args:
        path: The file. `inputs` is [N, C, H, W] (images in [0, 1]), [N, T, D] (series) or [N, D] (a
            table in raw units, NaN where a cell is missing); `targets` [N] are whole numbers (−1:
            unlabelled) or strings (empty: unlabelled), or, of several labels a row, [N, L] of 1
            and 0 (−1 or NaN: nobody knows); `groups` [N] are whole numbers or strings; `time` [N]
            are numbers.
        task: classification: a class a row; multi_label: several labels a row, or none.
        inputs: What the file calls them, such as `train_images`.
        targets: The same.
        groups: The same.
        time: The same.
        scale: Inputs are divided by it: 255 for images of bytes.
        channels: `last` for images [N, H, W, C].
        kind: What `inputs` is; `auto` tells it by the number of axes, and asks where grey images
            [N, H, W] would pass for series. `image` takes both.
        classes: Class names by code, for whole-number targets 0 to C − 1; empty: the targets' own
            values. Of several labels a row their names by column; empty: `label 0` and so on.
        features: Names of channels or columns; empty: `channel 0` or `feature 0` and so on.
    """

    def __init__(
        self,
        *,
        path: InputFile,
        task: Literal["classification", "multi_label"] = "classification",
        inputs: str = "inputs",
        targets: str = "targets",
        groups: str = "groups",
        time: str = "time",
        scale: Positive = 1.0,
        channels: Literal["first", "last"] = "first",
        kind: Literal["auto", "image", "series", "table"] = "auto",
        classes: tuple[str, ...] = (),
        features: tuple[str, ...] = (),
    ) -> None:
        self.path, self.kind, self.classes, self.features = path, kind, classes, features
        self.task = self._task = task
        self.names = {"inputs": inputs, "targets": targets, "groups": groups, "time": time}
        self.scale, self.channels = scale, channels
        if len(set(self.names.values())) < len(self.names):
            raise SettingsError(
                "one array is named for two parts.",
                where="prepare.source",
                fix="inputs, targets, groups and time are four arrays.",
            )

    def read(self, root: Path) -> Dataset:
        path = config.file_of(self.path, root)
        arrays = self._arrays(path)
        at = {part: f"{path.name}, array '{name}'" for part, name in self.names.items()}
        inputs, kind = _inputs(
            self._scaled(arrays["inputs"], at["inputs"]), self.kind, at["inputs"]
        )
        several = self._task == "multi_label"
        for name in ("groups", "time") if several else ("targets", "groups", "time"):
            if name in arrays:
                arrays[name] = _one_a_row(arrays[name], len(inputs), at[name])
        read = labels_of if several else _targets
        targets, names = read(arrays.get("targets"), self.classes, len(inputs), at["targets"])
        schema = Schema(
            kind,
            tuple(inputs.shape[1:]),
            () if several else names,
            self._features(inputs, kind, path.name),
            self._task,
            labels=names if several else (),
        )
        groups = (
            torch.tensor([group_code(name) for name in _texts(arrays["groups"])], dtype=torch.int64)
            if "groups" in arrays
            else None
        )
        time = _times(arrays["time"], at["time"]) if "time" in arrays else None
        dataset = Dataset(
            torch.from_numpy(inputs), targets, schema, torch.arange(len(inputs)), groups, time
        )
        if "targets" in arrays:
            targets_of(schema).require(dataset, where=at["targets"])
        return dataset

    def rows(self, path: Path, schema: Schema) -> Rows:
        """The array that the settings name, or `inputs`, scaled as in training; floats of images
        that lie in [0, 1] already are taken as they are.
        """
        if path.suffix != ".npz":
            return read_rows(path, schema)
        held = read_arrays(path, (self.names["inputs"], "inputs"))
        name = self.names["inputs"] if self.names["inputs"] in held else "inputs"
        if name not in held:
            return read_rows(path, schema)  # says which arrays there are
        raw = held[name]
        done = schema.kind == "image" and raw.dtype.kind == "f" and bool((raw <= 1).all())
        inputs = raw if done else self._scaled(raw, f"{path.name}, array '{name}'")
        if schema.kind == "image" and inputs.ndim == 3:
            inputs = inputs[:, None]
        return rows_of_inputs(shaped(inputs, schema, path.name), schema, path.name)

    def _arrays(self, path: Path) -> dict[str, NDArray[Any]]:
        """Return the arrays by their part; one that a setting names has to be there."""
        found = read_arrays(path, tuple(self.names.values()))
        for part, name in self.names.items():
            if name not in found and (part == "inputs" or name != part):
                there = array_names(path)
                fix = (
                    f"The file has: {', '.join(there[:12])}. Name them: {part}: {there[0]}."
                    if there
                    else "Save it with np.savez(file, inputs=…, targets=…)."
                )
                raise SourceError(f"there is no array '{name}'.", where=path.name, fix=fix)
        return {part: found[name] for part, name in self.names.items() if name in found}

    def _scaled(self, raw: NDArray[Any], where: str) -> NDArray[Any]:
        """Return inputs with their channels first, divided by the scale."""
        if self.channels == "last":
            if raw.ndim != 4:
                raise SourceError(
                    f"its shape is {raw.shape}; only images [N, H, W, C] have channels last.",
                    where=where,
                    fix="Take prepare.source.channels out.",
                )
            raw = raw.transpose(0, 3, 1, 2)
        if self.scale == 1 or raw.dtype.kind not in "fiu":
            return raw
        scaled: NDArray[np.float32] = raw.astype(np.float32) / np.float32(self.scale)
        return scaled

    def _features(self, inputs: NDArray[np.float32], kind: Kind, file: str) -> tuple[Feature, ...]:
        count = inputs.shape[1] if kind in ("image", "table") else inputs.shape[2]
        if self.features and (len(self.features) != count or len(set(self.features)) != count):
            raise SourceError(
                f"features names {len(set(self.features))} features, the rows have {count}.",
                where=file,
                fix="Name each once, or leave features out.",
            )
        names = self.features or tuple(
            f"{'feature' if kind == 'table' else 'channel'} {at}" for at in range(count)
        )
        if kind == "table":
            return tuple(feature_of_values(name, inputs[:, at]) for at, name in enumerate(names))
        return tuple(
            Feature(
                name, low=0.0 if kind == "image" else None, high=1.0 if kind == "image" else None
            )
            for name in names
        )


def _inputs(raw: NDArray[Any], asked: str, where: str) -> tuple[NDArray[np.float32], Kind]:
    if raw.dtype.kind not in "fiub":
        raise SourceError(
            f"its type is {raw.dtype}, not numbers.",
            where=where,
            fix="Save numbers; turn categories into a CSV or into codes.",
        )
    if asked == "image" and raw.ndim == 3:
        raw = raw[:, None]
    kinds: dict[int, Kind] = {4: "image", 3: "series", 2: "table"}
    if raw.ndim not in kinds or (asked != "auto" and AXES[asked] != raw.ndim):
        wanted = (
            "[N, C, H, W], [N, T, D] or [N, D]"
            if asked == "auto"
            else f"{AXES[asked]} axes for {asked} rows"
        )
        raise SourceError(
            f"its shape is {raw.shape}, not {wanted}.",
            where=where,
            fix="Reshape it, or set the source's kind.",
        )
    kind = kinds[raw.ndim]
    if asked == "auto" and _could_be_grey(raw):
        raise SourceError(
            f"its shape is {raw.shape}{' of bytes' if raw.dtype == np.uint8 else ''}: grey "
            "images [N, H, W] or series [N, T, D]?",
            where=where,
            fix="Set prepare.source.kind to image or to series.",
        )
    if raw.size == 0:
        raise SourceError(
            f"its shape is {raw.shape}: there is nothing in it.",
            where=where,
            fix="Save at least some rows.",
        )
    with np.errstate(over="ignore"):
        inputs = np.ascontiguousarray(raw, dtype=np.float32)
    _require_values(inputs, kind, where)
    if kind == "image":
        _require_image(inputs, where)
    return inputs, kind


def _could_be_grey(raw: NDArray[Any]) -> bool:
    """Whether three axes look like grey images: bytes, or squares as large as pictures are.

    As series they would be learnt without a word, and wrongly.
    """
    return raw.ndim == 3 and (raw.dtype == np.uint8 or raw.shape[1] == raw.shape[2] >= 8)


def _require_values(inputs: NDArray[np.float32], kind: Kind, where: str) -> None:
    flat = inputs.reshape(len(inputs), -1)
    bad = np.isinf(flat) if kind == "table" else ~np.isfinite(flat)
    if bad.any():
        row, at = (int(i) for i in np.argwhere(bad)[0])
        rows = int(bad.any(axis=1).sum())
        more = f" ({rows} rows in all)" if rows > 1 else ""
        fix = (
            "Write NaN where a cell is missing."
            if kind == "table"
            else "Mend or leave out the row; only tables may have missing values."
        )
        raise SourceError(
            f"row {row} holds {flat[row, at]} at position {at}{more}.", where=where, fix=fix
        )


def _require_image(inputs: NDArray[np.float32], where: str) -> None:
    _, channels, _, width = inputs.shape
    if channels > MAX_CHANNELS and width <= 4:
        raise SourceError(
            f"rows of the shape {inputs.shape[1:]} have their channels last.",
            where=where,
            fix="Set prepare.source.channels: last.",
        )
    outside = ((inputs < 0) | (inputs > 1)).reshape(len(inputs), -1)
    if outside.any():
        row = int(outside.any(axis=1).argmax())
        span = f"[{inputs[row].min():g}, {inputs[row].max():g}]"
        fix = (
            "Set prepare.source.scale: 255."
            if inputs.min() >= 0 and inputs.max() <= 255 and inputs.max() > 2
            else "Scale them to [0, 1]; normalisation is inside the model."
        )
        raise SourceError(f"row {row} lies in {span}; images are in [0, 1].", where=where, fix=fix)


def _one_a_row(values: NDArray[Any], rows: int, where: str) -> NDArray[Any]:
    if values.size != rows or (values.ndim > 1 and values.shape[0] != rows) or values.ndim == 0:
        matrix = values.ndim == 2 and values.shape[0] == rows
        if matrix and several_labels(values):
            raise SourceError(
                f"its shape is {values.shape}, and rows have several labels or none.",
                where=where,
                fix="Set prepare.source.task: multi_label; or choose one label, "
                "prepare.source.targets naming an array of its own.",
            )
        fix = (
            "Save classes, not one-hot rows: targets.argmax(1)."
            if matrix
            else "Save one value a row."
        )
        raise SourceError(
            f"its shape is {values.shape}, but there are {rows} rows.", where=where, fix=fix
        )
    return values.reshape(rows)


def _texts(values: NDArray[Any]) -> list[str]:
    """Whole numbers and strings as text, so that both are named the same way."""
    if values.dtype.kind == "S":
        return [bytes(v).decode("utf-8", "replace").strip() for v in values]
    if values.dtype.kind == "f":
        return [str(int(v)) if np.isfinite(v) and v == int(v) else str(v) for v in values.tolist()]
    return [str(int(v)) if values.dtype.kind == "b" else str(v).strip() for v in values.tolist()]


def _targets(
    values: NDArray[Any] | None, classes: tuple[str, ...], rows: int, where: str
) -> tuple[Tensor, tuple[str, ...]]:
    if values is None:
        return torch.full((rows,), UNLABELLED), classes
    if values.dtype.kind not in "iubfUS":
        raise SourceError(
            f"its type is {values.dtype}, not whole numbers or strings.",
            where=where,
            fix="Save class codes or names.",
        )
    texts = _texts(values)
    absent = {"", "-1", "nan"} if values.dtype.kind in "if" else {""}
    names = [None if text in absent else text for text in texts]
    if values.dtype.kind == "f" and any(name is not None and "." in name for name in names):
        raise SourceError(
            "it holds fractions, not classes.",
            where=where,
            fix="Stillhouse learns classes: bin the values first.",
        )
    if not classes:
        return class_codes(names)
    by_code = (
        {str(code): code for code in range(len(classes))}
        if values.dtype.kind in "iubf"
        else {name: code for code, name in enumerate(classes)}
    )
    unknown = next(
        (at for at, name in enumerate(names) if name is not None and name not in by_code), None
    )
    if unknown is not None:
        raise SourceError(
            f"row {unknown} has the target '{names[unknown]}', which is none of the "
            f"{len(classes)} classes.",
            where=where,
            fix="Mend the source's classes.",
        )
    return torch.tensor(
        [UNLABELLED if name is None else by_code[name] for name in names], dtype=torch.int64
    ), classes


def _times(values: NDArray[Any], where: str) -> Tensor:
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]").astype(np.int64) / 1e6
    if values.dtype.kind not in "fiu":
        raise SourceError(
            f"its type is {values.dtype}, not numbers.",
            where=where,
            fix="Save seconds, days or cycles.",
        )
    times = np.asarray(values, dtype=np.float64)
    if not np.isfinite(times).all():
        raise SourceError(
            f"row {int((~np.isfinite(times)).argmax())} has no time.",
            where=where,
            fix="Give every row a time, or leave the row out.",
        )
    return torch.from_numpy(times)
