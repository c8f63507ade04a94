"""What each column of a text table holds, decided without refusing: the source refuses later what
it cannot read, here a way is found.
"""

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from stillhouse.data.codes import whole
from stillhouse.data.columns import (
    FREE_TEXT,
    INFINITE,
    MAX_CATEGORIES,
    MISSING,
    NUMBER,
    Column,
    infer,
)
from stillhouse.data.delimited import Cells
from stillhouse.errors import SourceError
from stillhouse_flows.intake.hints import Facts

# What people write where they know nothing, beside what the sources take for missing already.
ABSENT = re.compile(
    r"-+|\.+|none|unknown|missing|na|n\.a\.|nil|nan|#[A-Z/0]+[!?]|-?inf", re.IGNORECASE
)
DATE = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}.*")
UNIT = re.compile(
    r"kg|g|mg|cm|mm|km|kmh|mph|ms|s|min|k?[Hh]z|bpm|mm[Hh][gG]|m[vV]|V|A|k?Wh?|h?Pa|pp[mb]|°C|%"
)
FEW_ROWS = 10  # of a category, on average; below it a net learns its rows by heart
MOST = 3  # values that are shown of a column


def known_cells(cells: Cells, name: str, missing: frozenset[str]) -> list[str]:
    """Return a column's cells that are not missing."""
    return [cell for cell in cells.columns[name] if cell not in missing]


def missing_texts(cells: Cells, decimal: str) -> tuple[str, ...]:
    """Return words that stand for nothing in columns that hold numbers otherwise."""
    found = set()
    for texts in cells.columns.values():
        known = Counter(text for text in texts if text not in MISSING)
        odd = {text for text in known if not _number(text, decimal)}
        if odd and all(ABSENT.fullmatch(text) for text in odd) and len(known) > len(odd):
            found |= odd
    return tuple(sorted(found))


def decimal_mark(cells: Cells) -> str:
    """Return `,` where columns would be numbers with it and are none with a point."""
    comma = 0
    for texts in cells.columns.values():
        known = {text for text in texts[:1000] if text not in MISSING}
        odd = {text for text in known if not NUMBER.fullmatch(text)}
        if odd and all(NUMBER.fullmatch(text.replace(",", ".", 1)) for text in odd):
            comma += 1
        elif any("." in text for text in known) and not odd:
            return "."
    return "," if comma else "."


def facts_of(cells: Cells, missing: frozenset[str], decimal: str) -> list[Facts]:
    """Return what each column holds, in the file's order."""
    return [_facts(cells, name, missing, decimal) for name in cells.columns]


def _facts(cells: Cells, name: str, missing: frozenset[str], decimal: str) -> Facts:
    known = known_cells(cells, name, missing)
    counts = Counter(known)
    some = tuple(text for text, _ in counts.most_common(MOST))
    plain = Facts(name, "category", len(known), len(cells.lines) - len(known), len(counts), some)
    if not known:
        return replace(plain, part="dropped", why="it has no value in any row")
    if all(DATE.fullmatch(text) for text in counts):
        return replace(plain, kind="date")
    column = Column(
        name,
        [None if cell in missing else cell for cell in cells.columns[name]],
        cells.lines,
        cells.file,
        decimal,
        cells.each,
    )
    try:
        kind = infer(column)
        return _rare(plain) if kind == "category" else replace(plain, kind=kind)
    except SourceError:  # numbers with a few odd cells, or texts: looked at below
        odd = [text for text in counts if not _number(text, decimal)]
        return _odd(plain, odd, f"{column.each} {column.line_of(odd[0])}" if odd else "")


def _odd(plain: Facts, odd: list[str], place: str) -> Facts:
    """Of a column that the source would ask about: codes are categories, texts are left out."""
    found = _rare(plain)
    if found.part == "dropped" and 0 < len(odd) < plain.distinct / 2:
        said = (
            f"{place} holds '{odd[0]}' in a column of numbers; mend it, or list it under the "
            "source's missing and take the column out of drop"
        )
        return replace(found, why=said)
    codes = found.part == "feature" and len(odd) < plain.distinct
    return replace(found, why=f"it holds codes such as '{odd[0]}'") if codes else found


def _rare(plain: Facts) -> Facts:
    """Of a column of categories: too many of them are learned by heart, or are texts."""
    if plain.distinct <= max(FREE_TEXT, min(plain.rows / FEW_ROWS, MAX_CATEGORIES)):
        return plain
    said = f"{plain.distinct:,} different texts in {plain.rows:,} rows say too little each"
    return replace(plain, kind="text", part="dropped", why=said)


def _number(text: str, decimal: str) -> bool:
    point = text.replace(",", ".") if decimal == "," and "." not in text else text
    return bool(NUMBER.fullmatch(point) or INFINITE.fullmatch(point))


def counts_rows(texts: list[str]) -> bool:
    """Whether cells are rising whole numbers without a gap: a row's number that was written."""
    first = whole(texts[0]) if texts else None
    return first is not None and all(whole(text) == first + at for at, text in enumerate(texts))


def iso(texts: list[str]) -> bool:
    """Whether every cell is an ISO date."""
    try:
        return bool([datetime.fromisoformat(text) for text in set(texts)])
    except ValueError:
        return False


def never_falls(texts: list[str]) -> bool:
    """Whether numbers or ISO dates never fall from one cell to the next."""
    if not all(NUMBER.fullmatch(text) for text in texts):
        return iso(texts) and texts == sorted(texts)
    return all(a <= b for a, b in pairwise(float(text) for text in texts))


def unit_of(name: str) -> str:
    """Return the unit that a column's name says: `Hb [g/dL]`, `age (years)`, `weight_kg`; empty if
    it says none.

    Example:
        >>> unit_of("Hb [g/dL]"), unit_of("weight_kg"), unit_of("age")
        ('g/dL', 'kg', '')
    """
    inside = re.search(r"[\[(]([^\[\]()]{1,12})[\])]\s*$", name)
    if inside:
        return inside[1].strip()
    last = re.search(r"[_ ]([A-Za-z%°]{1,5})$", name)
    return last[1] if last and UNIT.fullmatch(last[1]) else ""
