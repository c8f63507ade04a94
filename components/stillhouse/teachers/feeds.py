"""What an ONNX model takes of rows: all of them as one tensor, or a table's columns by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SourceError, nearest

FLOATS: Mapping[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
WHOLE: Mapping[str, Any] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
TEXT = "tensor(string)"
FIX = "Export it with rows in data space as its only input, or a table's columns by name."

Feed = dict[str, NDArray[Any]]


class Feeds:
    """Turns rows [B, *shape] in data space into what a model takes.

    A category goes in by its name, a missing one as an empty text; a missing number as NaN.

    Args:
        inputs: As ONNX Runtime tells them: name, type, shape.
        schema: What a row is.
        where: The file, for messages.

    Raises:
        SourceError: The model takes other rows, or a column that the data have not or hold
            otherwise.
    """

    def __init__(self, inputs: list[Any], schema: Schema, where: str) -> None:
        self._schema, self._where = schema, where
        self._one = inputs[0] if len(inputs) == 1 and inputs[0].type in FLOATS else None
        if self._one is not None and _fits(list(self._one.shape), schema.shape):
            self.batch = _size(self._one)
            return
        named = [each for each in inputs if len(each.shape) <= 2 and each.shape[1:] in ([], [1])]
        if not schema.tabular or len(named) < len(inputs) or len(inputs) == 0:
            raise self._other(inputs)
        self._one, self._inputs = None, inputs
        self._places = {feature.name: at for at, feature in enumerate(schema.features)}
        for each in inputs:
            self._require(each)
        self.batch = _size(inputs[0])

    def _other(self, inputs: list[Any]) -> SourceError:
        if self._one is not None:
            said = (
                f"it takes rows of the shape {list(self._one.shape)[1:]}, the data have "
                f"{list(self._schema.shape)}."
            )
            return SourceError(said, where=self._where, fix="Export it for such rows, batch first.")
        names = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        said = f"it takes {names}, not one tensor of floats."
        return SourceError(said, where=self._where, fix=FIX)

    def _require(self, each: Any) -> None:
        if each.name not in self._places:
            raise SourceError(
                f"it takes a column '{each.name}', which the data have not.",
                where=self._where,
                fix=nearest(each.name, list(self._places)),
            )
        feature = self._schema.features[self._places[each.name]]
        why = _mismatch(each.type, feature)
        if why:
            raise SourceError(
                f"it takes the column '{each.name}' as {each.type}, {why}.",
                where=self._where,
                fix="Export it with categories as texts and with floats where cells are missing.",
            )

    def __call__(self, rows: NDArray[Any]) -> Feed:
        """Return the arrays by name for rows [B, *shape]."""
        if self._one is not None:
            return {self._one.name: np.asarray(rows, dtype=FLOATS[self._one.type])}
        return {each.name: self._column(each, rows) for each in self._inputs}

    def _column(self, each: Any, rows: NDArray[Any]) -> NDArray[Any]:
        at = self._places[each.name]
        values = rows[:, at]
        if each.type == TEXT:
            names = self._schema.features[at].categories
            texts = ["" if code != code else names[int(code)] for code in values.tolist()]
            found: NDArray[Any] = np.array(texts, dtype=object)
        else:
            found = values.astype({**FLOATS, **WHOLE}[each.type])
        return found.reshape(-1, 1) if len(each.shape) == 2 else found


def _fits(found: list[Any], shape: tuple[int, ...]) -> bool:
    return len(found) == len(shape) + 1 and all(
        not isinstance(axis, int) or axis == wanted
        for axis, wanted in zip(found[1:], shape, strict=True)
    )


def _size(given: Any) -> int:
    """Return how many rows a model takes at once; 0: any number."""
    first = given.shape[0] if given.shape else 0
    return first if isinstance(first, int) and first > 0 else 0


def _mismatch(kind: str, feature: Feature) -> str:
    if kind == TEXT:
        return "" if feature.kind == "category" else "and the data hold numbers"
    if kind not in FLOATS and kind not in WHOLE:
        return "which no column is"
    if feature.kind == "category":
        return "and the data hold categories by name"
    if kind in WHOLE and (feature.missing or feature.kind == "number"):
        return "and cells are missing" if feature.missing else "and the data hold fractions"
    return ""
