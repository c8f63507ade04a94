"""A teacher that was made elsewhere may know the classes in another order: they are matched by
name.
"""

from stillhouse.errors import SourceError, nearest


def order(names: tuple[str, ...], wanted: tuple[str, ...], *, where: str) -> list[int]:
    """Return for each class of the data the column of the teacher's answers that means it.

    Args:
        names: The teacher's classes, by column; empty if nobody named them: then the order is the
            data's.
        wanted: The data's classes, by code.
        where: The file or setting that holds the names, for messages.

    Raises:
        SourceError: The names are not exactly the data's.

    Example:
        >>> order(("cat", "ant"), ("ant", "cat"), where="")
        [1, 0]
    """
    if not names:
        return list(range(len(wanted)))
    require_count(len(names), wanted, where=where)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(
            f"the class '{twice}' is named twice.", where=where, fix="Name each class once."
        )
    for name in names:
        if name not in wanted:
            raise SourceError(
                f"the data have no class '{name}'.", where=where, fix=nearest(name, list(wanted))
            )
    return [names.index(name) for name in wanted]


def require_count(found: int, wanted: tuple[str, ...], *, where: str) -> None:
    """Refuse a teacher of another number of classes.

    Raises:
        SourceError: It is not the data's; the message has both.
    """
    if found != len(wanted):
        raise SourceError(
            f"the teacher knows {found} classes, the data have {len(wanted)}.",
            where=where,
            fix="Bring a teacher of these classes.",
        )
