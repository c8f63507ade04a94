"""What holds between two columns of every row: `systolic > diastolic`."""

import re
from dataclasses import dataclass

from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError, nearest

_FORM = re.compile(r"\s*(.+?)\s*(>=|<=|>|<)\s*(.+?)\s*")


@dataclass(frozen=True)
class Constraint:
    """One column above another.

    Attributes:
        above: The column that is larger.
        below: The one that is smaller.
        equal: Whether they may be equal.
    """

    above: str
    below: str
    equal: bool


def parse(text: str, schema: Schema, where: str) -> Constraint:
    """Return what a text says of a table's columns.

    Args:
        text: Two column names with >, >=, < or <= between them.
        schema: Whose columns.
        where: The setting's path, for messages.

    Raises:
        SettingsError: It is no such text, or a column is unknown, not of numbers, or compared with
            itself.

    Example:
        >>> from stillhouse.data.schema import Feature
        >>> table = Schema("table", (2,), (), (Feature("low"), Feature("high")))
        >>> parse("low <= high", table, "here")
        Constraint(above='high', below='low', equal=True)
    """
    found = _FORM.fullmatch(text)
    if found is None or not schema.tabular:
        raise SettingsError(
            f"'{text}' compares no two columns of a table.",
            where=where,
            fix="Write two columns with >, >=, < or <= between them: systolic > diastolic.",
        )
    left, sign, right = found.groups()
    kinds = {feature.name: feature.kind for feature in schema.features}
    for name in (left, right):
        if name not in kinds:
            raise SettingsError(
                f"the data have no column '{name}'.", where=where, fix=nearest(name, list(kinds))
            )
        if kinds[name] == "category":
            raise SettingsError(
                f"the column '{name}' holds categories, which have no order.",
                where=where,
                fix="Compare columns of numbers.",
            )
    if left == right:
        raise SettingsError(
            f"'{left}' is compared with itself.", where=where, fix="Name two columns."
        )
    above, below = (left, right) if sign[0] == ">" else (right, left)
    return Constraint(above, below, len(sign) == 2)
