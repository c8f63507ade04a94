import httpx
import pytest

from stillhouse.errors import ServerUnreachable, StaleHead
from stillhouse_flows.lost import NOTE, through


def gone() -> str:
    raise httpx.ConnectError("refused")


def test_a_run_that_came_to_its_end_is_told_although_prefect_did_not_hear_of_it() -> None:
    said: list[str] = []
    assert through(gone, ["promoted"], said.append) == "promoted"
    assert said == [NOTE]
    assert through(lambda: "promoted", [], said.append) == "promoted"
    assert said == [NOTE], "nothing is told when nothing was lost"


def test_a_run_that_did_not_ends_clearly_and_its_own_error_is_not_hidden() -> None:
    said: list[str] = []
    with pytest.raises(ServerUnreachable, match="the same command goes on") as lost:
        through(gone, [], said.append)
    assert lost.value.exit_code == 1

    def refused() -> str:
        try:
            raise StaleHead("the champion changed.")
        except StaleHead:
            return gone()  # as Prefect's engine does, when it cannot tell its server of it

    with pytest.raises(StaleHead):
        through(refused, [], said.append)
    with pytest.raises(ZeroDivisionError):
        through(lambda: str(1 / 0), ["promoted"], said.append)
    assert said == []
