"""A project that runs by itself: a real Prefect server, a real worker, everything on loopback."""

from collections.abc import Iterator

import pytest
from flows.team import OFTEN, Team, team
from integration.house import WARNINGS

pytestmark = [pytest.mark.stories, pytest.mark.integration, pytest.mark.filterwarnings(*WARNINGS)]


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A deployed project, with a run that a schedule started and a worker finished."""
    with team(tmp_path_factory.mktemp("by itself")) as made:
        made.deploy(retrain=OFTEN)
        made.work()
        run = made.first_run()
        made.until(run["id"])
        yield made


def test_a_scheduled_run_promotes(scheduled: Team):
    [run, *_] = scheduled.runs()
    assert scheduled.state(run["id"])[0] == "COMPLETED", scheduled.log(run["id"])
    assert run["auto_scheduled"]
    assert scheduled.house.ledger().champion == 1
