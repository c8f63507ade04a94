"""Files that unpack to far more than themselves: refused by what their headers promise, before
anything is unpacked.
"""

from stillhouse.errors import SourceError

LARGE = 32 * 2**20  # bytes; what unpacks to less does no harm
RATIO = 200  # times its own size; text reaches some 30, images and numbers less


def require_no_bomb(unpacked: int, packed: int, *, where: str, what: str = "file") -> None:
    """Refuse what would unpack to more than 32 MiB and to more than 200 times its own size.

    Args:
        unpacked: Bytes that the header promises.
        packed: Bytes that the file has.
        where: The file, for messages.
        what: What it is.

    Raises:
        SourceError: It is a bomb, or looks like one.
    """
    if unpacked > LARGE and unpacked > RATIO * max(packed, 1):
        times = unpacked / max(packed, 1)
        raise SourceError(
            f"unpacked, the {what} would take {unpacked / 2**20:,.0f} MiB, {times:,.0f} times its "
            "own size.",
            where=where,
            fix="Check where it comes from; if it is meant, save it with less compression.",
        )
