"""What somebody says about their data, and what was made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stillhouse.errors import UsageError

Asked = Literal["auto", "image", "table", "series"]
By = Literal["row", "group", "time"]
COLUMNS = ("target", "group", "time", "drop", "window")  # hints that name columns or count lines


@dataclass(frozen=True)
class Hints:
    """What the user said; everything else is inferred.

    Attributes:
        kind: What rows are; `auto` looks.
        target: The column to predict; of several labels a row their columns, commas between. Here
            and below of an npz file the array.
        group: A column of patients, wearers or machines that are held out whole.
        time: A column by which the latest rows are held out.
        drop: Columns to leave out.
        window: Lines a row of a series.
    """

    kind: Asked = "auto"
    target: str | None = None
    group: str | None = None
    time: str | None = None
    drop: tuple[str, ...] = ()
    window: int | None = None


def refuse_hints(hints: Hints, names: tuple[str, ...], *, what: str, where: str) -> None:
    """Refuse what means nothing here, rather than let it go unheard.

    Args:
        hints: What the user said.
        names: Those of it that mean nothing.
        what: What the data are, in words.
        where: The file or folder.

    Raises:
        UsageError: It was said.
    """
    said = next((name for name in names if getattr(hints, name)), None)
    if said:
        raise UsageError(
            f"--{said} is about the columns of a table, and these are {what}.",
            where=where,
            fix="Leave it out.",
        )


@dataclass(frozen=True)
class Facts:
    """One column of a table as its cells show it.

    Attributes:
        name: In the header.
        kind: number, integer, binary, category, date or text.
        rows: Cells that are not missing.
        missing: Cells that are.
        distinct: Different texts among the rows.
        some: The few that occur most.
        part: feature, target, group, time, key or dropped.
        why: Of a column that is no feature.
    """

    name: str
    kind: Literal["number", "integer", "binary", "category", "date", "text"]
    rows: int
    missing: int
    distinct: int
    some: tuple[str, ...]
    part: str = "feature"
    why: str = ""


@dataclass(frozen=True)
class Guess:
    """A source that reads the data, and what was seen on the way to it.

    Attributes:
        source: What stands under `prepare.source`.
        by: How rows are held out.
        notes: Decisions in words, for the user and for the comments of params.yaml.
        columns: Of a table or of a series' file; empty where there are none.
        candidates: `targets`, `groups`, `times` and `keys` that could have been meant.
    """

    source: Mapping[str, Any]
    by: By = "row"
    notes: tuple[str, ...] = ()
    columns: tuple[Facts, ...] = ()
    candidates: Mapping[str, Sequence[str]] = field(default_factory=dict)
