"""Ctrl-C that comes out as something else: a library that is stopped half-way may fail while it
cleans up, and its own error then hides what the user did.
"""

import contextlib
from collections.abc import Iterator

from stillhouse.errors import StillhouseError


def interrupted(error: BaseException) -> bool:
    """Whether an error arose while a Ctrl-C was handled."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, KeyboardInterrupt):
            return True
        found = found.__context__
    return False


@contextlib.contextmanager
def seen_through() -> Iterator[None]:
    """Let a Ctrl-C out of the body as a Ctrl-C, whatever a library made of it; what is told in our
    own words stays, for it may say that a promotion has taken effect.
    """
    try:
        yield
    except StillhouseError:
        raise
    except Exception as error:
        if interrupted(error):
            raise KeyboardInterrupt from error
        raise
