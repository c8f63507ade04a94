"""What is expected of the rows: from the schema, from the settings, and of the division into
splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stillhouse.data.constraints import parse
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SettingsError, nearest
from stillhouse.validation import table
from stillhouse.validation.settings import Settings, Severity, limit

LARGEST = float(np.finfo(np.float32).max)
HALF = 0.5
COLUMN_KEYS = ("column", "column_A", "column_B")
COLUMNS_KEYS = ("column_list", "column_set")


@dataclass(frozen=True)
class Expected:
    """One expectation of Great Expectations, still a plain value.

    Attributes:
        type: Its name.
        arguments: What it takes, column included.
        severity: How much it matters; only `critical` stops a run.
        about: The table it speaks about: `rows`, or `classes` with one row a class.
        own: Whether the settings asked for it by name.
        called: What messages call it, where it is one of ours; its type otherwise.
    """

    type: str
    arguments: Mapping[str, Any]
    severity: Severity = "critical"
    about: Literal["rows", "classes"] = "rows"
    own: bool = False
    called: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.called or self.type

    @property
    def column(self) -> str:
        """The column it speaks about; empty for the whole table."""
        return str(self.arguments.get("column", ""))


def between(
    column: str,
    low: float | None,
    high: float | None,
    severity: Severity = "critical",
    about: Literal["rows", "classes"] = "rows",
) -> Expected:
    """Return the expectation of a range; None is no bound."""
    ends = {name: end for name, end in (("min_value", low), ("max_value", high)) if end is not None}
    return Expected(
        "expect_column_values_to_be_between", {"column": column, **ends}, severity, about
    )


def among(column: str, values: list[Any], severity: Severity = "critical") -> Expected:
    """Return the expectation of a set of values."""
    return Expected(
        "expect_column_values_to_be_in_set", {"column": column, "value_set": values}, severity
    )


def suite(
    schema: Schema,
    settings: Settings,
    *,
    by: str,
    columns: frozenset[str],
    written: Sequence[Mapping[str, Any]] = (),
) -> list[Expected]:
    """Return everything that is expected.

    Args:
        schema: What a row is.
        settings: The section `validate`.
        by: How rows were divided: row, group or time.
        columns: Of the table of rows; groups and time have one only where rows have them.
        written: What the user's suite asks for.

    Raises:
        SettingsError: The settings name a column that is not there.
    """
    expected = [*_of_targets(schema, settings), *_of_splits(settings, by, columns)]
    if table.by_statistics(schema):
        expected += [among("n_bad", [0]), among("n_outside", [0])]
        if not schema.tabular:
            expected.append(
                Expected(
                    "expect_column_values_to_be_between",
                    {"column": "std", "min_value": 0, "strict_min": True},
                    "warning",
                )
            )
    for feature in schema.features if schema.tabular and not table.by_statistics(schema) else ():
        expected += _of_feature(feature, settings)
    expected += _of_constraints(schema)
    return expected + _of_settings(schema, settings, columns, written)


def _of_constraints(schema: Schema) -> list[Expected]:
    """Rows in which one of two cells is missing cannot break what holds between them."""
    found = []
    for at, text in enumerate(schema.constraints):
        told = parse(text, schema, f"prepare.constraints.{at}")
        arguments = {
            "column_A": told.above,
            "column_B": told.below,
            "or_equal": told.equal,
            "ignore_row_if": "either_value_is_missing",
        }
        found.append(Expected("expect_column_pair_values_a_to_be_greater_than_b", arguments))
    return found


def _of_targets(schema: Schema, settings: Settings) -> list[Expected]:
    rows, share, twice = (
        limit(settings, "rows_a_class"),
        limit(settings, "class_share"),
        limit(settings, "duplicates"),
    )
    unique = {
        "column": table.EQUAL_ROWS,
        "mostly": 1 - (1 if twice.at_most is None else twice.at_most),
    }
    alike = Expected("expect_column_values_to_be_unique", unique, twice.severity)
    if schema.quantity is not None:
        refuse_class_limits(schema.quantity.name, settings)
        return [between(table.TARGET, -LARGEST, LARGEST), alike]
    own = [among(table.TARGET, list(schema.classes))]
    needed: Severity = "critical"
    if schema.labels:
        # a label that no row of the few with labels has can still be taught by the teacher
        own = [among(table.label_column(name), [0, 1]) for name in schema.labels]
        needed = "warning"
    return [
        *own,
        between(table.ROWS, rows.at_least, rows.at_most, rows.severity, "classes"),
        between(table.LABELLED, 1, None, needed, "classes"),
        between(table.SHARE, share.at_least, share.at_most, share.severity, "classes"),
        Expected(
            "expect_column_values_to_be_in_set",
            {"column": table.SHIFT, "value_set": [""]},
            "warning",
            "classes",
            called="label_shift",
        ),
        alike,
    ]


def refuse_class_limits(quantity: str, settings: Settings) -> None:
    """Refuse limits of classes where a quantity is told.

    Raises:
        SettingsError: One is set.
    """
    for name in ("rows_a_class", "class_share"):
        if getattr(settings, name) is not None:
            raise SettingsError(
                f"the target '{quantity}' is a quantity and has no classes.",
                where=f"validate.{name}",
                fix="Leave it out.",
            )


def _of_splits(settings: Settings, by: str, columns: frozenset[str]) -> list[Expected]:
    """A row, group or moment in two splits is critical where the division should have kept it in
    one.
    """
    wanted = [
        (table.SPLITS_OF_ROW, "row", [1]),
        (table.SPLITS_OF_GROUP, "group", [1]),
        (table.LATE, "time", [0]),
    ]
    chosen = settings.leakage
    found = []
    for column, kept, clean in wanted:
        if column in columns and not (kept == "time" and by != "time"):
            found.append(
                among(
                    column,
                    clean,
                    ("critical" if by == kept else "warning") if chosen == "auto" else chosen,
                )
            )
    return found


def _of_feature(feature: Feature, settings: Settings) -> list[Expected]:
    name, missing = feature.name, settings.missing or {}
    found = [
        Expected(
            "expect_column_unique_value_count_to_be_between",
            {"column": name, "min_value": 2},
            "warning",
        )
    ]
    if feature.kind == "category":
        found.append(among(name, list(feature.categories)))
    elif feature.kind == "binary":
        found.append(among(name, [0, 1]))
    else:
        found.append(
            between(
                name,
                -LARGEST if feature.low is None else feature.low,
                LARGEST if feature.high is None else feature.high,
            )
        )
    if feature.kind == "integer":
        found.append(
            Expected(
                "expect_column_values_to_be_in_type_list",
                {"column": name, "type_list": ["int64", "int", "float64"]},
            )
        )
    if not feature.missing:
        found.append(Expected("expect_column_values_to_not_be_null", {"column": name}))
    elif name not in missing:
        most = missing.get("all", HALF)
        found.append(
            Expected(
                "expect_column_values_to_not_be_null",
                {"column": name, "mostly": 1 - most},
                "critical" if "all" in missing else "warning",
            )
        )
    return found


def named_columns(settings: Settings, written: Sequence[Mapping[str, Any]] = ()) -> frozenset[str]:
    """Return the columns that the settings, and the suite that they name, speak of."""
    own: set[str] = set()
    for entry in [*(settings.expectations or []), *written]:
        if "type" in entry:
            own |= {str(entry[key]) for key in COLUMN_KEYS if key in entry}
            own |= {str(name) for key in COLUMNS_KEYS for name in entry.get(key) or ()}
    return frozenset(own | set(settings.ranges or {}) | (set(settings.missing or {}) - {"all"}))


def _of_settings(
    schema: Schema,
    settings: Settings,
    columns: frozenset[str],
    written: Sequence[Mapping[str, Any]],
) -> list[Expected]:
    for column in sorted(named_columns(settings, written)):
        if column not in columns:
            known = [name for name in columns if not name.startswith("(")] or [
                f.name for f in schema.features
            ]
            raise SettingsError(
                f"the data have no column '{column}'.", where="validate", fix=nearest(column, known)
            )
    found = [
        between(column, ends[0], ends[1])
        for column, ends in sorted((settings.ranges or {}).items())
    ]
    for column, most in sorted((settings.missing or {}).items()):
        if column != "all":
            found.append(
                Expected(
                    "expect_column_values_to_not_be_null", {"column": column, "mostly": 1 - most}
                )
            )
    for entry in [*(settings.expectations or []), *written]:
        if "type" not in entry:
            continue
        arguments = {
            name: value for name, value in entry.items() if name not in ("type", "severity")
        }
        found.append(
            Expected(entry["type"], arguments, entry.get("severity", "critical"), own=True)
        )
    return found
