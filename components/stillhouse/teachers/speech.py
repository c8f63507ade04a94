"""What is said to an endpoint and what it must say back: JSON, checked before it is believed.

    → {"rows": [7, 9], "inputs": [[…], […]]}
    ← {"rows": [7, 9], "probabilities": [[0.9, 0.1], [0.2, 0.8]], "classes": ["no", "yes"]}

A table's row is sent as an object by column name, a category by its name, a missing cell as null;
an image or a series as nested lists, in data space. `classes` may be left out of the answer.

Of several labels a row its probabilities are each label's own, and need not sum to 1. Of a quantity
it says `"values": [3.5, 4.25]`, or a list a row where quantiles are told (`"classes"`
then names them: q0.1, q0.5, q0.9).
"""

import json
import re
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.ask import naming
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.probabilities import ROUNDING, SUM_TOLERANCE

DEPTH = 4  # an answer is an object of lists of lists of numbers
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
FORMS = {
    "probabilities": "{rows: […], probabilities: [[…]]}, a row of C probabilities each",
    "values": "{rows: […], values: […]}, a number a row, in the quantity's unit",
}


def question(inputs: Tensor, rows: Tensor, schema: Schema) -> bytes:
    """Return the request about rows [B, *shape]."""
    if schema.tabular:
        said: list[Any] = [_cells(row, schema) for row in inputs.tolist()]
    else:
        said = inputs.tolist()
    return json.dumps({"rows": rows.tolist(), "inputs": said}, allow_nan=False).encode()


def _cells(row: list[float], schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value, feature in zip(row, schema.features, strict=True):
        if value != value:
            found[feature.name] = None
        elif feature.kind == "category":
            found[feature.name] = feature.categories[int(value)]
        else:
            found[feature.name] = value
    return found


def answers(
    data: bytes, rows: Tensor, schema: Schema, *, classes: tuple[str, ...], where: str
) -> Tensor:
    """Return what an answer says of rows [B], in their order: probabilities, or a quantity's
    values, [B, C], float64, classes (or quantiles) in the data's order.

    Args:
        data: The answer's bytes.
        rows: The numbers that were asked about, no two alike.
        schema: The data's.
        classes: Class names by column, for answers that do not name them; empty: the data's order.
        where: The endpoint, for messages.

    Raises:
        SourceError: It is not JSON of that form, leaves a row out or adds one, names other classes,
            or a row's numbers are no probabilities, or none at all; the row is named.
    """
    key = "probabilities" if schema.quantity is None else "values"
    fix = f"The answer must be {FORMS[key]}."
    held = _read(data, key, where, fix)
    found = _numbers(held[key], key, where, fix)
    places = _places(held["rows"], rows, where, fix)
    names = _names(held.get("classes"), where, fix) or classes
    if schema.classes and found.shape[1] != len(schema.classes):
        raise SourceError(
            f"it answers {found.shape[1]} probabilities a row, the data have "
            f"{len(schema.classes)} classes.",
            where=where,
            fix="Bring a teacher of these classes.",
        )
    require_count(found.shape[1], schema, where=where)
    columns = order(names, schema, where=where)
    if len(found) != len(rows):
        raise SourceError(
            f"it answers {len(found)} rows of {key} to {len(rows)} rows.", where=where, fix=fix
        )
    ordered = found[places][:, columns]
    _require_finite(ordered, rows, where)
    if schema.quantity is None:
        _require_probabilities(ordered, rows, where, sums=not schema.labels)
    return ordered


def _read(data: bytes, key: str, where: str, fix: str) -> dict[str, Any]:
    try:
        _require_shallow(data)
        found = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        shown = data[:60].decode("utf-8", "replace")
        raise SourceError(
            f"it answers no JSON of the right form ({error}): {shown!r}.", where=where, fix=fix
        ) from None
    if not isinstance(found, dict) or not {"rows", key} <= set(found):
        raise SourceError(f"its answer has no 'rows' or no '{key}'.", where=where, fix=fix)
    return found


def _require_shallow(data: bytes) -> None:
    depth = 0
    for letter in _TEXT.sub(b"", data):
        depth += (letter in b"[{") - (letter in b"]}")
        if depth > DEPTH:
            raise ValueError(f"nested deeper than {DEPTH}")


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _numbers(given: Any, key: str, where: str, fix: str) -> Tensor:
    if isinstance(given, list) and key == "values":
        given = [row if isinstance(row, list) else [row] for row in given]
    if not isinstance(given, list) or not given or not all(_is_row(row, given[0]) for row in given):
        raise SourceError(
            f"its {key} are not a list of equally long lists of numbers.", where=where, fix=fix
        )
    try:
        return torch.tensor(given, dtype=torch.float64)
    except (OverflowError, ValueError, RuntimeError):
        raise SourceError(
            "it answers a number that no computer holds.", where=where, fix=fix
        ) from None


def _is_row(row: Any, first: Any) -> bool:
    return (
        isinstance(row, list)
        and bool(row)
        and len(row) == len(first)
        and all(type(value) in (int, float) for value in row)
    )


def _places(given: Any, rows: Tensor, where: str, fix: str) -> list[int]:
    """Return where each asked row stands in the answer."""
    if not isinstance(given, list) or not all(type(number) is int for number in given):
        raise SourceError("its rows are no list of whole numbers.", where=where, fix=fix)
    wanted = rows.tolist()
    missing = [row for row in wanted if row not in set(given)]
    if missing:
        raise SourceError(
            f"it leaves {naming(torch.tensor(missing))} unanswered, of {len(wanted)} asked.",
            where=where,
            fix="The endpoint must answer every row, by its number.",
        )
    if len(given) != len(wanted):
        raise SourceError(
            f"it answers {len(given)} rows to {len(wanted)}: some twice, or some nobody asked for.",
            where=where,
            fix="The endpoint must answer every row once.",
        )
    at = {number: place for place, number in enumerate(given)}
    return [at[row] for row in wanted]


def _names(given: Any, where: str, fix: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise SourceError("its classes are no list of names.", where=where, fix=fix)
    return tuple(given)


def _require_finite(found: Tensor, rows: Tensor, where: str) -> None:
    bad = ~found.float().isfinite().all(dim=1)  # so they are kept and learned from
    if bad.any():
        raise SourceError(
            f"its answer is not a finite number for {naming(rows[bad])}: {_shown(found[bad])}.",
            where=where,
            fix="The endpoint must answer every row with numbers.",
        )


def _require_probabilities(found: Tensor, rows: Tensor, where: str, *, sums: bool) -> None:
    faults = (
        (((found < 0) | (found > 1 + ROUNDING)).any(dim=1), "is not in [0, 1]"),
        ((found.sum(dim=1) - 1).abs() > SUM_TOLERANCE, f"does not sum to 1 within {SUM_TOLERANCE}"),
    )
    for bad, why in faults if sums else faults[:1]:
        if bad.any():
            raise SourceError(
                f"its answer {why} for {naming(rows[bad])}: {_shown(found[bad])} ….",
                where=where,
                fix=f"The endpoint must answer probabilities ({'softmax' if sums else 'sigmoid'}), "
                "not scores.",
            )


def _shown(found: Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in found[0][:5].tolist())
