"""From what people write to codes: classes by their sorted names, groups by names that never change
their code.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from stillhouse.data.dataset import UNLABELLED, Dataset
from stillhouse.errors import SourceError

MAX_CLASSES = 5000
DATE = re.compile(
    r"([0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4})([T ].*)?$"
)


def whole(text: str) -> int | None:
    """Return the whole number that a text writes (`3`, `-1`, `3.0`), or None."""
    head, dot, tail = text.partition(".")
    digits = head[1:] if head[:1] in ("+", "-") else head
    fits = (
        digits.isascii()
        and digits.isdigit()
        and len(digits) < 19
        and (not dot or set(tail) <= {"0"})
    )
    return int(head) if fits else None


def sorted_names(names: set[str]) -> list[str]:
    """Return names in order: by value where all are whole numbers, otherwise by text."""
    numbers = {name: whole(name) for name in names}
    if all(number is not None for number in numbers.values()):
        return sorted(names, key=lambda name: (numbers[name], name))
    return sorted(names)


def class_codes(names: Sequence[str | None]) -> tuple[Tensor, tuple[str, ...]]:
    """Return codes [N], int64, and class names by code.

    Args:
        names: A class name a row, None where the row is unlabelled. Where all are whole numbers,
            `1` and `1.0` are one class.
    """
    known = {name for name in names if name is not None}
    numbers = {name: whole(name) for name in known}
    spelt = {
        name: str(numbers[name]) if all(n is not None for n in numbers.values()) else name
        for name in known
    }
    classes = sorted_names(set(spelt.values()))
    code = {name: at for at, name in enumerate(classes)}
    return torch.tensor(
        [UNLABELLED if name is None else code[spelt[name]] for name in names], dtype=torch.int64
    ), tuple(classes)


def group_code(name: str) -> int:
    """Return a group's code, which depends on its name alone: the number itself, or 63 bits of the
    name's sha256.
    """
    number = whole(name)
    if number is not None:
        return number
    return (
        int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        >> 1
    )


def _require_class_names(classes: tuple[str, ...], where: str) -> None:
    if len(classes) > 1 and all(DATE.match(name) for name in classes):
        raise SourceError(
            f"the target holds dates, such as '{classes[0]}', not classes.",
            where=where,
            fix="Name another target, or turn the dates into classes (a season, within 30 days).",
        )
    if len(classes) > MAX_CLASSES:
        raise SourceError(
            f"the target has {len(classes):,} classes, more than {MAX_CLASSES:,}: a name, a key or "
            "a quantity?",
            where=where,
            fix="Name another target, or merge its rare classes.",
        )


def require_classes(dataset: Dataset, *, where: str) -> None:
    """Refuse targets that nothing can be learned from.

    Raises:
        SourceError: No row has a target, there is only one class, a class has no row or one, there
            are more than 5,000, or they are dates.
    """
    counts = Counter(dataset.targets.tolist())
    counts.pop(UNLABELLED, None)
    _require_class_names(dataset.classes, where)
    if not counts:
        raise SourceError(
            "no row has a target.", where=where, fix="Name the target, and label some rows."
        )
    if len(dataset.classes) < 2 or len(counts) < 2:
        name = dataset.classes[next(iter(counts))]
        raise SourceError(
            f"there is only one class, '{name}'; at least two are needed.",
            where=where,
            fix="Bring rows of another class, or name another target.",
        )
    few = [
        (dataset.classes[code], counts[code])
        for code in range(len(dataset.classes))
        if counts[code] < 2
    ]
    if few:
        name, rows = few[0]
        more = f" (and {len(few) - 1} more classes like it)" if len(few) > 1 else ""
        many = (
            " The target looks like a quantity: set task: regression beside it, or bin it first."
            if len(few) > 0.2 * sum(counts.values())
            else ""
        )
        said = "has one row, which cannot be in both train and test" if rows else "has no row"
        raise SourceError(
            f"the class '{name}' {said}{more}.",
            where=where,
            fix=f"Bring at least two rows of each class, or leave the class out.{many}",
        )
