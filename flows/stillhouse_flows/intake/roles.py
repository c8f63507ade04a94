"""Which column is the target, the group, the time, the key: names and values say it together."""

import re
from collections.abc import Sequence

from stillhouse.data.delimited import Cells
from stillhouse_flows.intake.columns import counts_rows, iso, known_cells, never_falls
from stillhouse_flows.intake.hints import Facts

MAX_CLASSES = 100
MIN_GROUPS = 8  # by hash, fewer would often leave a split empty
TARGET = re.compile(
    r"target|labels?|class(es)?|outcome|y|diagnosis|category|activity|income|survived|species|"
    r"result|response|disease|readmitted|severity|fatal(ity)?|died|death|mortality|churn|default|"
    r"failure|fault|gas|gesture|sign|digit|quality|status|injury|attack|fraud|num",
    re.IGNORECASE,
)
QUANTITY = re.compile(
    r"price|cost|sales|revenue|demand|consumption|salary|rent|pm2\.?5|rul", re.IGNORECASE
)
GROUP = re.compile(
    r"(patient|subject|participant|person|individual|user|wearer|volunteer|driver|speaker|machine|"
    r"device|engine|vehicle|household|customer|client|animal|station|hospital|site|farm|plant)"
    r"(_?(id|nr|nbr|no|num|number|code|name))?|pid|uid|mrn|sid",
    re.IGNORECASE,
)
RECORDING = re.compile(
    r"(recording|record|session|trial|series|sequence|run|episode|file|flight|ride|segment)"
    r"(_?(id|nr|no|num|number|name))?",
    re.IGNORECASE,
)
TIME = re.compile(r".*(timestamp|datetime|date|batch)(_?(id|no|nr))?|year|month", re.IGNORECASE)
MOMENT = re.compile(
    r"(time|timestamp|t|ts|ms|sec|seconds|millis|datetime|date|tick|frame|sample|step|elapsed)"
    r"(_?(s|ms|us|ns|id|no|sec|seconds|index))?",
    re.IGNORECASE,
)
BORN = re.compile(r"birth|dob|born", re.IGNORECASE)
CODE = re.compile(r".+[_ -](id|code|type|cd)|.+[a-z](I[dD]|Code)|zip(_?code)?", re.IGNORECASE)
KEY = re.compile(
    r"(.*[_ -])?(id|key|nr|nbr|no|number|index|idx|uuid|guid|encounter|case|record)([_ -].*)?"
    r"|.*[a-z]I[dD]",
    re.IGNORECASE,
)


def targets(columns: Sequence[Facts]) -> list[str]:
    """Return columns that could be the target, the likeliest first: by name, then the last."""
    last = len(columns) - 1
    ranked = []
    for at, column in enumerate(columns):
        quantity = column.kind == "number" or column.distinct > MAX_CLASSES
        if column.part != "feature" or column.kind in ("date", "text") or column.distinct < 2:
            continue
        named_so = TARGET.fullmatch(column.name) and len(column.name) > 1  # y may be an axis
        if quantity and not (named_so and column.kind != "category"):
            continue
        named = any(TARGET.fullmatch(word) for word in re.split(r"[_\W]+", column.name))
        ranked.append((not named, not TARGET.fullmatch(column.name), last - at))
    names = [columns[last - place].name for _, _, place in sorted(ranked)]
    told = quantities(columns)
    return [*(name for name in names if name not in told), *told][:5] if told else names[:5]


def quantities(columns: Sequence[Facts]) -> list[str]:
    """Return columns of numbers whose names say that they are what one would like to know."""
    return [
        column.name
        for column in columns
        if column.part == "feature"
        and column.kind in ("number", "integer")
        and column.distinct > MAX_CLASSES
        and any(QUANTITY.fullmatch(word) for word in re.split(r"[_\W]+", column.name))
    ]


def evident(columns: Sequence[Facts]) -> str | None:
    """Return the one column whose whole name says that it is the target; None where none does, or
    several do.
    """
    said = [name for name in targets(columns) if TARGET.fullmatch(name)]
    if not said:
        said = [name for name in quantities(columns) if QUANTITY.fullmatch(name)]
    return said[0] if len(said) == 1 else None


def groups(cells: Cells, columns: Sequence[Facts], missing: frozenset[str]) -> list[str]:
    """Return columns that name who or what a row is about, the one of most groups first."""
    found = [
        column
        for column in columns
        if GROUP.fullmatch(column.name)
        and column.missing == 0
        and column.kind != "number"
        and 2 <= column.distinct < column.rows
        and not counts_rows(known_cells(cells, column.name, missing))
    ]
    return [column.name for column in sorted(found, key=lambda c: -c.distinct)]


def times(cells: Cells, columns: Sequence[Facts], missing: frozenset[str]) -> list[str]:
    """Return columns that say when, and can be ordered: ISO dates, and rising numbers of such a
    name.
    """
    found = []
    for column in columns:
        if column.missing or column.distinct < 3 or BORN.search(column.name):
            continue
        known = known_cells(cells, column.name, missing)
        if column.kind == "date":
            if iso(known):
                found.append(column.name)
        elif column.kind in ("number", "integer") and TIME.fullmatch(column.name):
            found += [column.name] if never_falls(known) else []
    return found


def keys(columns: Sequence[Facts], rows: int) -> list[str]:
    """Return columns of different values a row whose name says that they name it."""
    return [
        column.name
        for column in columns
        if column.distinct == rows > 1
        and (KEY.fullmatch(column.name) or GROUP.fullmatch(column.name))
        and column.kind in ("integer", "text", "category")
    ]
