"""A file of recordings, a line a moment: how it is told from a table, and how it is cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from stillhouse.data.delimited import Cells
from stillhouse.data.windows import recordings as rows_of
from stillhouse_flows.intake.columns import never_falls
from stillhouse_flows.intake.hints import By, Facts, Guess, Hints
from stillhouse_flows.intake.roles import GROUP, MIN_GROUPS, MOMENT, RECORDING

LINES = 20  # a recording of fewer, on average, is no series
RUN = 5  # lines that the target keeps on average where lines are moments
WINDOWS = (16, 32, 64, 128)


@dataclass(frozen=True)
class Found:
    """Lines that belong together.

    Attributes:
        recording: Its column.
        group: Who is held out whole: the recording's own column, or another one.
        groups: How many there are.
        time: A column that never falls within a recording, or None.
        channels: Columns of numbers.
        dropped: Columns that are neither.
        gaps: Whether a channel has missing cells.
        window: Lines of a row.
        unordered: A column that says when, but falls within a recording.
    """

    recording: str
    group: str
    groups: int
    time: str | None
    channels: tuple[str, ...]
    dropped: tuple[str, ...]
    gaps: bool
    window: int
    unordered: str | None = None


def find(cells: Cells, columns: Sequence[Facts], target: str, hints: Hints) -> Found | None:
    """Return how lines form recordings; None where they are a table's rows.

    Without the user's word they are recordings where a column names who or what was recorded for at
    least 20 lines on average, the target keeps its value for runs of lines, a column counts the
    moments, and everything else are numbers. Where none counts them, the lines of each have to
    stand together under a name for recordings, all of them with one target.
    """
    if hints.kind in ("table", "image"):
        return None
    sure, by_name = hints.kind == "series", {column.name: column for column in columns}
    names = [
        c.name
        for c in columns
        if c.name != target
        and c.missing == 0
        and (RECORDING.fullmatch(c.name) or GROUP.fullmatch(c.name) or c.name == hints.group)
        and c.rows / max(c.distinct, 1) >= LINES
    ]
    if not names:
        return None
    group = hints.group or next((n for n in names if GROUP.fullmatch(n)), names[0])
    recording = _recording(cells, names, group)
    parts = rows_of(cells.columns[recording])
    moments = [c.name for c in columns if hints.time == c.name or MOMENT.fullmatch(c.name)]
    rising = [name for name in moments if _rises(cells.columns[name], parts)]
    rest = [c for c in columns if c.name not in {target, *names, *moments, *hints.drop}]
    numbers = [c for c in rest if c.kind in ("number", "integer", "binary")]
    runs = _runs(cells.columns[target], parts)
    if not numbers:
        return None
    blocks = RECORDING.fullmatch(recording) and _blocks(parts) and len(runs) == len(parts)
    told = len(numbers) == len(rest) and (moments or blocks) and median(runs) >= RUN
    if not sure and not told:
        return None
    channels = tuple(c.name for c in numbers)
    taken = {target, recording, group, *channels, *rising[:1]}
    return Found(
        recording,
        group,
        by_name[group].distinct,
        rising[0] if rising else None,
        channels,
        tuple(c.name for c in columns if c.name not in taken),
        any(c.missing for c in numbers),
        hints.window or _window(median(runs), min(len(at) for at in parts.values())),
        moments[0] if moments and not rising else None,
    )


def _recording(cells: Cells, names: Sequence[str], group: str) -> str:
    """A recording has one group: a session's number that wearers share would mix them."""
    for name in names:
        if name != group:
            pairs = set(zip(cells.columns[name], cells.columns[group], strict=True))
            if len(pairs) == len(set(cells.columns[name])):
                return name
    return group


def _rises(texts: list[str], parts: dict[str, list[int]]) -> bool:
    return all(never_falls([texts[at] for at in rows]) for rows in parts.values())


def _blocks(parts: dict[str, list[int]]) -> bool:
    """Whether the lines of each recording stand together."""
    return all(rows[-1] - rows[0] == len(rows) - 1 for rows in parts.values())


def _runs(texts: list[str], parts: dict[str, list[int]]) -> list[int]:
    said = [[texts[at] for at in rows] for rows in parts.values()]
    return [len(list(run)) for lines in said for _, run in groupby(lines)]


def _window(run: float, shortest: int) -> int:
    fitting = [length for length in WINDOWS if length <= run and length <= shortest]
    return fitting[-1] if fitting else max(2, min(int(run), shortest))


def guess(place: str, found: Found, target: str, missing: frozenset[str], hints: Hints) -> Guess:
    """Return the source that cuts these recordings."""
    by: By = "group" if found.groups >= 3 or found.group != found.recording else "row"
    source: dict[str, Any] = {
        "name": "series_csv",
        "path": place,
        "recording": found.recording,
        **({"group": found.group} if found.group != found.recording else {}),
        "target": target,
        "window": found.window,
        **({"stride": found.window // 2} if by == "group" else {}),
        **({"time": found.time} if found.time else {}),
        **({"drop": list(found.dropped)} if found.dropped else {}),
        **({"gaps": "skip"} if found.gaps else {}),
    }
    notes = [
        f"lines are moments of {found.recording}, cut into windows of {found.window}; say --kind "
        "table if each line stands for itself."
    ]
    if found.unordered:
        notes.append(
            f"{found.unordered} falls within a recording, so the file's order is taken for time."
        )
    if by == "group" and found.groups < MIN_GROUPS:
        notes.append(f"{found.groups} of {found.group} are few to hold out: numbers will vary.")
    return Guess(source, by, tuple(notes))
