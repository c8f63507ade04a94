"""A Ctrl-C stays one, whatever the library in which it arrived makes of it."""

import httpx
import pytest

from stillhouse.errors import ServerUnreachable, StaleHead
from stillhouse_flows.interrupted import interrupted, seen_through
from stillhouse_flows.lost import through


def stopped(inside: Exception) -> None:
    """Fail as a library that is stopped and then trips over its own cleaning up."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise inside  # noqa: B904


def test_a_library_that_trips_while_it_is_stopped_does_not_hide_the_stop() -> None:
    with pytest.raises(KeyboardInterrupt), seen_through():
        stopped(AttributeError("'Tqdm' object has no attribute 'postfix'"))


def test_an_error_without_a_stop_stays_itself() -> None:
    with pytest.raises(AttributeError), seen_through():
        raise AttributeError
    assert not interrupted(AttributeError())


def test_what_we_tell_ourselves_stays_also_after_a_stop() -> None:
    with pytest.raises(StaleHead), seen_through():
        stopped(StaleHead("another is champion now", fix="Run again."))


def test_a_server_of_prefect_that_was_stopped_with_us_is_a_stop() -> None:
    with pytest.raises(KeyboardInterrupt):
        through(lambda: stopped(httpx.ConnectError("refused")), [], print)


def test_one_that_goes_by_itself_is_named() -> None:
    def gone() -> None:
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerUnreachable, match="Prefect went away"):
        through(gone, [], print)
