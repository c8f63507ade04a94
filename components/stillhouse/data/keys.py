"""What a row is, as bytes: equal rows have equal keys, and a row keeps its key however the data
around it grow.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.dataset import Dataset


def _name_key(name: str) -> bytes:
    """A category that reads as a number has the number's key, so that a column that turns from
    number to category keeps its rows' keys.
    """
    try:
        return np.float32(float(name)).tobytes()
    except ValueError:
        return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16]


def row_keys(dataset: Dataset) -> list[bytes]:
    """Return a digest [N] of what each row says: its values, with a category's name in place of its
    code.

    Codes shift when a new category appears; names do not. −0 counts as 0, and every missing cell is
    the same.
    """
    flat = dataset.inputs.reshape(len(dataset), -1).contiguous().numpy() + np.float32(0)
    flat = np.where(np.isnan(flat), np.float32("nan"), flat).astype("<f4")
    named = (
        {
            at: [_name_key(name) for name in f.categories]
            for at, f in enumerate(dataset.schema.features)
            if f.kind == "category"
        }
        if dataset.schema.kind == "table"
        else {}
    )
    if not named:
        return [hashlib.sha256(row.tobytes()).digest() for row in flat]
    return [hashlib.sha256(_row_bytes(row, named)).digest() for row in flat]


def _row_bytes(row: NDArray[np.float32], named: dict[int, list[bytes]]) -> bytes:
    parts = []
    for at, value in enumerate(row):
        names = named.get(at)
        known = names is not None and not np.isnan(value) and 0 <= value < len(names)
        parts.append(names[int(value)] if names is not None and known else value.tobytes())
    return b"|".join(parts)


def uniform(key: bytes, salt: str) -> float:
    """Return a number in [0, 1) that depends on nothing but key and salt; over keys it is
    uniform.
    """
    return int.from_bytes(hashlib.sha256(salt.encode() + b"\0" + key).digest()[:8], "big") / 2**64


def short_keys(dataset: Dataset) -> list[str]:
    """Return `row_keys` [N] in 16 hexadecimal digits, to be kept where rows are to be known again:
    of a million rows two are alike with a probability of 3e-8.
    """
    return [key.hex()[:16] for key in row_keys(dataset)]
