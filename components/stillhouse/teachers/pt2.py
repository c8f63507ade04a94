"""Read what `torch.export.save` wrote, without what `torch.export.load` does.

That function unpickles sample inputs, falls back to unpickling anything, and evaluates expressions
of the file as Python (torch 2.13: `torch/_export/serde/serialize.py`). The file itself needs none
of it: the graph is JSON and the weights are raw bytes, and these alone are read here.
"""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import SourceError

MOST_BYTES = 2_000_000_000
MOST_FILES = 100_000
MOST_JSON = 100_000_000
# torch._export.serde.schema.ScalarType
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
_PLAIN = re.compile(r"[A-Za-z0-9_]+")
FIX = "Save it again: torch.export.save(torch.export.export(model.eval(), (rows,)), 'model.pt2')."


@dataclass(frozen=True)
class Archive:
    """What a file holds.

    Attributes:
        graph: The graph, JSON.
        signature: What its inputs and outputs mean, JSON.
        tensors: Weights, buffers and constants by name.
    """

    graph: Mapping[str, Any]
    signature: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read(data: bytes, where: str) -> Archive:
    """Return graph and weights; sample inputs are not looked at.

    Args:
        data: The file's bytes.
        where: Its name, for messages.

    Raises:
        SourceError: It is no exported program, is too large, or a weight in it is a pickle.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as held:
            files = _files(held, where)
            return _archive(held, files, where)
    except zipfile.BadZipFile:
        raise SourceError("it is no exported program.", where=where, fix=FIX) from None
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(
            f"it is no exported program, or one of another version: {type(error).__name__} "
            f"{error}.",
            where=where,
            fix=FIX,
        ) from None


def _files(held: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name below the archive's own folder."""
    entries = held.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or total > MOST_BYTES:
        raise SourceError(
            f"it says it holds {len(entries):,} files of {total:,} bytes.",
            where=where,
            fix="Bring a smaller model.",
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise SourceError("its files are packed, as torch never packs them.", where=where, fix=FIX)
    return {entry.filename.partition("/")[2]: entry for entry in entries}


def _archive(held: zipfile.ZipFile, files: Mapping[str, zipfile.ZipInfo], where: str) -> Archive:
    models = [name for name in files if name.startswith("models/")]
    if "archive_format" not in files or len(models) != 1:
        said = (
            "it is a pickle in a zip archive (torch.save)"
            if any(name.endswith("data.pkl") for name in files)
            else f"it holds {len(models)} graphs, not one"
        )
        raise SourceError(f"{said}.", where=where, fix=FIX)
    name = models[0].removeprefix("models/").removesuffix(".json")
    model = _json(held, files[models[0]], where)["graph_module"]
    tensors: dict[str, Tensor] = {}
    for kind in ("weights", "constants"):
        config = files[f"data/{kind}/{name}_{kind}_config.json"]
        for key, about in _json(held, config, where)["config"].items():
            tensors[key] = _tensor(held, files, f"data/{kind}/", key, about, where)
    return Archive(model["graph"], model["signature"], tensors)


def _json(held: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Any:
    if entry.file_size > MOST_JSON:
        raise SourceError(
            f"'{entry.filename}' has {entry.file_size:,} bytes.", where=where, fix="Look at it."
        )
    return json.loads(held.read(entry))


def _tensor(
    held: zipfile.ZipFile,
    files: Mapping[str, zipfile.ZipInfo],
    folder: str,
    key: str,
    about: Mapping[str, Any],
    where: str,
) -> Tensor:
    path = about["path_name"]
    if about["use_pickle"] is not False or not path.startswith(("weight_", "tensor_")):
        raise SourceError(
            f"the weight '{key}' is stored as a pickle.",
            where=where,
            fix="Nothing is ever unpickled; export a model of plain tensors.",
        )
    if not _PLAIN.fullmatch(path):
        raise SourceError(f"a file is named '{path[:40]}'.", where=where, fix=FIX)
    meta, raw = about["tensor_meta"], bytearray(held.read(files[f"{folder}{path}"]))
    dtype = DTYPES.get(meta["dtype"])
    if dtype is None:
        raise SourceError(
            f"the weight '{key}' has the type {meta['dtype']}, which is not known.",
            where=where,
            fix="Export it in float32.",
        )
    sizes, strides = ([each["as_int"] for each in meta[name]] for name in ("sizes", "strides"))
    if any(size < 0 for size in sizes + strides):
        raise SourceError(f"the weight '{key}' has a size below 0.", where=where, fix=FIX)
    if not raw:
        return torch.empty(sizes, dtype=dtype)
    try:
        flat = torch.frombuffer(raw, dtype=dtype)
        return flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"]).clone()
    except RuntimeError as error:
        raise SourceError(
            f"the weight '{key}' does not fit its {len(raw):,} bytes: {str(error).splitlines()[0]}",
            where=where,
            fix=FIX,
        ) from None
