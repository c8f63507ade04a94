"""Text that every database behind MLflow takes: sqlite forgives what PostgreSQL refuses, and what
is refused would wait in the spool for ever.
"""

import os.path
import re
import unicodedata

LONGEST_VALUE = 500  # characters of a setting or tag
LONGEST_NAME = 250  # characters of a param's, metric's or tag's name
_STRANGE = re.compile(r"[^/\w.\- :]")


def storable(text: str, limit: int = LONGEST_VALUE) -> str:
    """Return text without NUL (PostgreSQL refuses it), other control characters and halves of
    surrogate pairs, at most `limit` characters long.

    Example:
        >>> storable("a" + chr(0) + "b" + "c" * 9, 6)
        'a�bccc'
    """
    clean = "".join(
        character if character in "\t\n" or unicodedata.category(character)[0] != "C" else "\ufffd"
        for character in text
    )
    return clean[:limit]


def storable_name(name: str) -> str:
    """Return a name that MLflow takes for a param, metric or tag: users' column and class names may
    hold anything.

    Example:
        >>> storable_name("prepare.source.kinds.age (years)")
        'prepare.source.kinds.age _years_'
    """
    clean = _STRANGE.sub("_", name)[:LONGEST_NAME]
    plain = os.path.normpath(clean) == clean and not clean.startswith(("/", "."))
    return clean if plain else clean.replace("/", "_").strip(".") or "_"
