"""The page: one file that loads nothing and runs nothing.

Every number on it comes from the receipt; every text from outside is escaped and made visible.
"""

import re
from typing import Any

from stillhouse.receipt import label_points, numbers, plots, several, trust_words, words
from stillhouse.receipt.answers import answers, heading
from stillhouse.receipt.facts import facts
from stillhouse.receipt.figures import figures
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.reading import reading
from stillhouse.receipt.ruled import ruled
from stillhouse.receipt.two_classes import COLUMNS, criterion

_UNIT = re.compile(r"(?<=\d) (?=(?:%|kB|ms|s|points)(?!\w))")
DASH = "–"


def page(receipt: Json) -> str:
    """Return the receipt as HTML.

    Args:
        receipt: Schema 1 (`schema.check` holds).
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("stillhouse.receipt", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_filters())
    return environment.get_template("receipt.html.j2").render(_context(receipt))


def _filters() -> dict[str, Any]:
    return {
        "fixed": numbers.fixed,
        "signed": numbers.signed,
        "percent": numbers.percent,
        "points": numbers.points,
        "spread": numbers.spread,
        "between": lambda interval, digits=1: numbers.between(
            interval[0], interval[-1], lambda v: numbers.fixed(v, digits)
        ),
        "between_signed": lambda interval, digits=1: numbers.between(
            interval[0], interval[-1], lambda v: numbers.signed(v, digits)
        ),
        "ms": numbers.milliseconds,
        "kilobytes": numbers.kilobytes,
        "plain": numbers.plain,
        "tied": tied,
        "tick": plots.tick,
        "place": plots.short,
        "date": date,
    }


def _context(receipt: Json) -> dict[str, Any]:
    return {
        "receipt": receipt,
        "evidence": receipt["evidence"],
        "head": words.headline(receipt),
        "held_out": words.held_out(receipt),
        "name": words.name(receipt),
        "version": words.version(receipt),
        "rules": ruled(receipt),
        "facts": facts(receipt),
        "read": reading(receipt),
        "columns": COLUMNS,
        "criterion": criterion,
        "answers": {section: tied(text) for section, text in answers(receipt).items()},
        "heading": heading(receipt),
        "figures": figures(receipt),
        "several": several.table(receipt),
        "point_metrics": label_points.METRICS,
        "trust": trust_words.figures(receipt),
        "classes": [numbers.plain(name) for name in receipt["evidence"]["classes"]],
        "dash": DASH,
    }


def tied(text: str) -> str:
    """Return text whose numbers never part from their units at the end of a line."""
    return _UNIT.sub(numbers.NBSP, text)


def date(written_at: str) -> str:
    """Return "2026-11-24T16:08:00+00:00" as "24 November 2026, 16:08 UTC"."""
    from datetime import UTC, datetime

    at = datetime.fromisoformat(written_at).astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
