"""Whether two receipts tell the same: every value but clocks, and what might be the cause where
they do not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# What a clock goes into, and where the work was done; everything else is equal in a repetition.
CLOCKS = ("cost.", "edge.latency_ms_", "evidence.latency", "evidence.written_at", "lineage.git")
# What explains a difference, and is none of its own: code, versions, and the digest of both.
CAUSES = ("lineage.code", "lineage.dvc_lock", "lineage.versions.")
ABSENT = "absent"
# What a reader wants to know first, where hundreds of values differ.
FIRST = ("verdict", "student.", "teacher.", "flips.", "rules")


@dataclass(frozen=True)
class Difference:
    """One value that is not what it was.

    Attributes:
        name: Its path in the receipt, such as `student.test_accuracy[1]`.
        then: As the receipt has it; `absent` where it has none.
        now: As the repetition has it.
    """

    name: str
    then: object
    now: object


@dataclass(frozen=True)
class Comparison:
    """What comparing came to.

    Attributes:
        values: How many values were compared.
        differences: Those that differ.
        causes: What of code and versions differs.
    """

    values: int
    differences: tuple[Difference, ...]
    causes: tuple[Difference, ...]


def compare(then: Mapping[str, Any], now: Mapping[str, Any]) -> Comparison:
    """Compare two receipts of the same settings, value by value and exactly.

    Args:
        then: The receipt that was registered.
        now: That of the repetition.

    Example:
        >>> found = compare({"mistakes": {"copied": 3}}, {"mistakes": {"copied": 4}})
        >>> (found.values, found.differences[0].name)
        (1, 'mistakes.copied')
    """
    old, new = dict(leaves(then)), dict(leaves(now))
    names = [name for name in sorted(old.keys() | new.keys()) if not name.startswith(CLOCKS)]
    differing = [
        Difference(name, old.get(name, ABSENT), new.get(name, ABSENT))
        for name in names
        if old.get(name, ABSENT) != new.get(name, ABSENT)
    ]
    return Comparison(
        sum(not name.startswith(CAUSES) for name in names),
        tuple(d for d in differing if not d.name.startswith(CAUSES)),
        tuple(d for d in differing if d.name.startswith(CAUSES)),
    )


def telling_first(found: Iterable[Difference]) -> list[Difference]:
    """Return differences in the order in which a person wants them: the verdict and the student
    before everything else, one value before a list's many.

    Example:
        >>> found = [Difference("arms[0].loss", 1, 2), Difference("student.parameters", 9, 8)]
        >>> telling_first(found)[0].name
        'student.parameters'
    """

    def place(difference: Difference) -> tuple[int, int, str]:
        name = difference.name
        rank = next((at for at, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))
        return rank, name.count("["), name

    return sorted(found, key=place)


def leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of nested mappings and lists by its path; an empty one is a value."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from leaves(inner, f"{name}[{at}]")
    else:
        yield name, value
