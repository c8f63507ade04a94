"""Our own expectations and the user's: each judges the rows, and its judgement becomes a column
that Great Expectations decides on.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse import config
from stillhouse.errors import SettingsError
from stillhouse.validation.expectation import Expectation, Rows
from stillhouse.validation.settings import Settings, own_settings
from stillhouse.validation.suite import Expected

WHERE = "validate.expectations"
# What is asked of all rows of a kind, as a warning, unless the settings name it themselves. The
# middle of real recordings has long tails, so that one in twenty may be unusual.
ALWAYS: tuple[Mapping[str, Any], ...] = (
    {"name": "labels_agree"},
    {"name": "near_duplicates"},
    {"name": "usual_rows"},
    {"name": "usual_recordings"},
)
MOSTLY = {"usual_rows": {"series": 0.95}}


def judged(rows: Rows, settings: Settings) -> tuple[dict[str, NDArray[Any]], list[Expected]]:
    """Return a column [N] for each of our own and the user's expectations, empty texts where a row
    is as expected, and what is asked of those columns.

    Raises:
        SettingsError: One judges another kind of rows, or does not judge every row.
    """
    columns: dict[str, NDArray[Any]] = {}
    asked = []
    for entry in _entries(rows, settings):
        name, column = str(entry["name"]), f"({entry['name']})"
        if column in columns:
            raise SettingsError(
                f"the expectation '{name}' is named twice.", where=WHERE, fix="Name it once."
            )
        made: Expectation = config.plugin("expectations", own_settings(entry), where=WHERE)
        if rows.schema.kind not in made.accepts:
            raise SettingsError(
                f"'{name}' judges {', '.join(sorted(made.accepts))} rows, not {rows.schema.kind}.",
                where=WHERE,
                fix="Take it out.",
            )
        columns[column] = _texts(made.judge(rows), name, len(rows))
        arguments = {"column": column, "value_set": [""], "mostly": float(entry["mostly"])}
        severity = entry["severity"]
        asked.append(
            Expected("expect_column_values_to_be_in_set", arguments, severity, called=name)
        )
    return columns, asked


def _entries(rows: Rows, settings: Settings) -> list[dict[str, Any]]:
    """Return what the settings ask of our own expectations, and those that are always asked."""
    own = [entry for entry in settings.expectations or [] if "type" not in entry]
    named = {entry["name"] for entry in own}
    asked = [{"mostly": 1.0, "severity": "critical", **entry} for entry in own]
    for entry in ALWAYS:
        made = config.plugin("expectations", entry, where=WHERE)
        if entry["name"] not in named and rows.schema.kind in made.accepts:
            mostly = MOSTLY.get(entry["name"], {}).get(rows.schema.kind, 1.0)
            asked.append({**entry, "mostly": mostly, "severity": "warning"})
    return asked


def _texts(found: NDArray[Any], name: str, rows: int) -> NDArray[Any]:
    values = np.asarray(found)
    if values.shape != (rows,) or values.dtype.kind not in "bOU":
        raise SettingsError(
            f"the expectation '{name}' gives {values.dtype} of the shape {values.shape} for "
            f"{rows} rows.",
            where=WHERE,
            fix="Return a bool or a text for every row.",
        )
    if values.dtype.kind == "b":
        return np.where(values, "", "not as expected").astype(object)
    return np.array([str(text) for text in values], dtype=object)
