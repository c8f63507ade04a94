"""The closing summary of a run as plain data and as text of at most 80 columns; whoever prints it
chooses colours.
"""

from dataclasses import dataclass
from textwrap import wrap

from stillhouse.receipt import numbers, words
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.ruled import Ruled, ruled

MARKS = {
    "pass": "✓",
    "undecided": "?",
    "fail": "✕",
    "not_applicable": "–",
    "promote": "✓",
    "hold": "?",
    "reject": "✕",
}
ASCII = {"✓": "ok", "?": "??", "✕": "XX", "–": "--"}
WIDTH = 80
_NAME, _LEFT, _NUMBER, _INTERVAL = 33, 38, 8, 14
_ASCII_TEXT = str.maketrans(
    {
        "≥": ">",
        "≤": "<",
        "−": "-",
        "’": "'",
        "∞": "inf",
        "\u00a0": " ",
        "…": ".",
        "␣": "?",
        "─": "-",
    }
)


@dataclass(frozen=True)
class Row:
    """One rule.

    Attributes:
        mark: ✓ ? ✕ –.
        name: With its unit.
        required: With ≥ or ≤.
        observed: Number, or "".
        interval: "[low, high]", "exact" or "".
        note: Flips, rows that would decide, or "".
    """

    mark: str
    name: str
    required: str
    observed: str
    interval: str
    note: str


@dataclass(frozen=True)
class Summary:
    """What a run ends with.

    Attributes:
        mark: Of the verdict.
        word: Promoted, Held, Rejected.
        title: Model and what it replaces.
        cost: Seconds and USD.
        lead: Why, in a sentence or two.
        rows: Rules that decide first, then the watched ones.
    """

    mark: str
    word: str
    title: str
    cost: str
    lead: str
    rows: tuple[Row, ...]


def summary(receipt: Json, *, version: int | None = None) -> Summary:
    """Return the summary of a receipt.

    Args:
        receipt: Schema 1.
        version: The number that the registry gave it, or None before.
    """
    told, found = words.headline(receipt), ruled(receipt)
    champion = receipt["evidence"]["champion"]
    itself = (
        f"{numbers.plain(receipt['model'], 24)} "
        f"{version if version is not None else receipt['student']['fingerprint'][:8]}"
    )
    replaced = champion["version"] if champion else None
    title = (
        f"{itself} replaces {replaced}"
        if told.word == "Promoted" and replaced not in (None, version)
        else itself
    )
    priced = receipt["cost"]["usd"] > 0  # without a price of an hour there is no price to tell
    price = f"{numbers.fixed(receipt['cost']['seconds'], 0)} s" + (
        f", ${numbers.fixed(receipt['cost']['usd'], 4)}" if priced else ""
    )
    ordered = sorted(found, key=lambda r: not r.gates)
    return Summary(
        MARKS[told.key],
        told.word,
        title,
        price,
        told.lead,
        tuple(_row(r, receipt) for r in ordered),
    )


def _row(rule: Ruled, receipt: Json) -> Row:
    flips = receipt["flips"]
    note = ""
    if rule.metric.startswith("robust/"):  # the champion's rows are looked at until it is settled
        note = rule.seen if rule.against else ""
    elif rule.against == "champion" and flips["against"]:
        note = f"−{flips['negative']} +{flips['positive']}"
    if rule.guards:
        note = rule.said
    elif rule.verdict == "undecided":
        note = "~" + rule.note.split()[1] if rule.note.startswith("about") else rule.note
    kind = " (alarm)" if rule.guards else "" if rule.gates else " (watched)"
    name = f"{rule.label}{kind}"
    return Row(
        MARKS[rule.verdict],
        name,
        rule.required if rule.bound else "",
        rule.observed,
        rule.interval,
        "not asked" if rule.verdict == "not_applicable" else note,
    )


def text(found: Summary, *, plain: bool = False) -> str:
    """Return the summary as lines of at most 80 columns.

    Args:
        found: The summary.
        plain: Only ASCII, for terminals that have nothing else.
    """
    marks = ASCII if plain else {mark: mark for mark in ASCII}
    head = f"{marks[found.mark]} {found.word}   {found.title}"
    fits = len(head) + len(found.cost) < WIDTH
    lines = [
        f"{head:<{WIDTH - len(found.cost)}}{found.cost}" if fits else f"{head}\n  {found.cost}"
    ]
    lines += [f"  {line}" for line in wrap(found.lead, WIDTH - 4)]
    if found.rows:
        lines += [
            "",
            f"{'':<{_LEFT}}{'required':>{_NUMBER}} {'observed':>{_NUMBER}} "
            f"{'interval':>{_INTERVAL}}",
            " " + "─" * (WIDTH - 2),
        ]
    lines += [_line(row, marks[row.mark], plain=plain) for row in found.rows]
    joined = "\n".join(line.rstrip() for line in lines) + "\n"
    return joined.translate(_ASCII_TEXT).encode("ascii", "replace").decode() if plain else joined


def _line(row: Row, mark: str, *, plain: bool) -> str:
    name = row.name.translate(_ASCII_TEXT) if plain else row.name  # which makes it longer
    told = (
        f"{f'  {mark} ' + numbers.plain(name, _NAME):<{_LEFT}}{row.required:>{_NUMBER}} "
        f"{row.observed:>{_NUMBER}} {row.interval:>{_INTERVAL}} {row.note}"
    )
    return told[:WIDTH]
