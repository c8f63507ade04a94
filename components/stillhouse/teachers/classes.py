"""A teacher that was made elsewhere may know the classes in another order: they are matched by
name. What a quantity is told by (its mean, or its quantiles) is matched likewise.
"""

from torch import Tensor

from stillhouse.data.dataset import known
from stillhouse.data.schema import Schema
from stillhouse.errors import DataError, SourceError, nearest

ELSEWHERE = "or bring a teacher that has learned elsewhere (onnx, predictions, …)."


def order(names: tuple[str, ...], schema: Schema, *, where: str) -> list[int]:
    """Return for each output of the data (a class, or what is told of a quantity) the column of the
    teacher's answers that means it.

    Args:
        names: The teacher's, by column; empty if nobody named them: then the order is the data's.
        schema: The data's.
        where: The file or setting that holds the names, for messages.

    Raises:
        SourceError: The names are not exactly the data's.

    Example:
        >>> order(("cat", "ant"), Schema("table", (1,), ("ant", "cat"), ()), where="")
        [1, 0]
    """
    wanted = schema.outputs
    if not names:
        return list(range(len(wanted)))
    require_count(len(names), schema, where=where)
    what = "label" if schema.labels else "class" if schema.quantity is None else "output"
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(
            f"the {what} '{twice}' is named twice.", where=where, fix="Name each once."
        )
    for name in names:
        if name not in wanted:
            raise SourceError(
                f"the data have no {what} '{name}'.", where=where, fix=nearest(name, list(wanted))
            )
    return [names.index(name) for name in wanted]


def require_count(found: int, schema: Schema, *, where: str) -> None:
    """Refuse a teacher of another number of classes, or of other numbers a row.

    Raises:
        SourceError: It is not the data's; the message has both.
    """
    wanted = schema.outputs
    if found == len(wanted):
        return
    if schema.quantity is not None:
        told = f"'{schema.quantity.name}' is told by {len(wanted)} ({', '.join(wanted)})"
        raise SourceError(
            f"the teacher answers {found} numbers a row, {told}.",
            where=where,
            fix="Bring a teacher of this quantity; prepare.quantiles says what is told of it.",
        )
    what = "labels" if schema.labels else "classes"
    raise SourceError(
        f"the teacher knows {found} {what}, the data have {len(wanted)}.",
        where=where,
        fix=f"Bring a teacher of these {what}.",
    )


def require_examples(targets: Tensor, schema: Schema) -> None:
    """Refuse targets from which nothing can be learned.

    Args:
        targets: Of the rows that a teacher is to learn from, [N] or [N, L].
        schema: The data's.

    Raises:
        DataError: None is known, or all known ones are the same class.
    """
    told = targets[known(targets)]
    if not len(told):
        raise DataError(
            "no row has a target to learn from.", where="train", fix=f"Label some, {ELSEWHERE}"
        )
    if schema.classes and bool((told == told[0]).all()):
        raise DataError(
            f"every row with a target is '{schema.classes[int(told[0])]}': there is nothing to "
            "tell apart.",
            where="train",
            fix=f"Label rows of another class too, {ELSEWHERE}",
        )
