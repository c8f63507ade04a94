"""Numbers and names as people read them: true minus, a sign on every difference, and text that can
do no harm.
"""

import unicodedata
from collections.abc import Callable, Sequence

NBSP = "\u00a0"
HIDDEN = "␣"  # stands for what cannot be seen or turns text around
_WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def fixed(value: float, digits: int = 1) -> str:
    """Return 1234.56 as "1,234.6"; a value that rounds to zero has no sign."""
    text = f"{value:,.{digits}f}"
    return text.replace("-", "" if float(text.replace(",", "")) == 0 else "−")


def signed(value: float, digits: int = 1) -> str:
    """Return a difference with its sign."""
    text = fixed(value, digits)
    return text if text.startswith("−") or float(text.replace(",", "")) == 0 else "+" + text


def percent(share: float, digits: int = 1) -> str:
    """Return a share as per cent, without the unit."""
    return fixed(100 * share, digits)


def points(share: float, digits: int = 1) -> str:
    """Return a difference of shares as points, without the unit."""
    return signed(100 * share, digits)


def between(low: float, high: float, write: Callable[[float], str]) -> str:
    """Return "[low, high]", which never parts at the end of a line."""
    return f"[{write(low)},{NBSP}{write(high)}]"


def spread(interval: Sequence[float]) -> str:
    """Return [low, high] of a share's [low, estimate, high], in per cent."""
    return between(interval[0], interval[2], percent)


def kilobytes(size: int) -> str:
    """Return bytes as kB (1000 bytes), without the unit."""
    return fixed(size / 1000)


def milliseconds(value: float) -> str:
    """Return milliseconds with three digits that count, without the unit."""
    return fixed(
        value,
        next(
            (digits for digits, size in ((0, 100), (1, 10), (2, 1), (3, 0.1)) if value >= size), 4
        ),
    )


def count(number: int, one: str = "", many: str = "") -> str:
    """Return "1 row" or "1,234 rows"."""
    noun = one if number == 1 else (many or f"{one}s")
    return f"{number:,} {noun}" if one else f"{number:,}"


def word(number: int) -> str:
    """Return a small count as a word, a larger one in digits."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else f"{number:,}"


def capital(text: str) -> str:
    """Return a sentence's text with a capital."""
    return text[:1].upper() + text[1:]


def listed(parts: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return (
        parts[0]
        if len(parts) == 1
        else ", ".join(parts[:-1]) + " and " + parts[-1]
        if parts
        else ""
    )


def plain(text: object, limit: int = 300) -> str:
    r"""Return any text with what is invisible or turns its neighbours around (control, format,
    separator characters) shown as ␣, cut to `limit`.

    Example:
        >>> plain("a\u202eb", 10), plain("abcdef", 4)
        ('a␣b', 'abc…')
    """
    seen = "".join(
        HIDDEN
        if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")
        else c
        for c in str(text)[: limit + 1]
    )
    return seen if len(seen) <= limit else seen[: limit - 1] + "…"
