"""One house for all: it is made once, and a second lane does what needs a project of its own
meanwhile.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration import stories
from integration.house import LESS, WARNINGS, Done, House, project

from stillhouse_flows import server

# What looks at the first run comes before what spoils it; files with projects of their own come
# last.
ORDER = (
    "test_house",
    "test_dvc",
    "test_remote",
    "test_changes",
    "test_killed",
    "test_bad_input",
    "test_wheel",
)


def _place(item: pytest.Item) -> int:
    return ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if item.path.parent == here]
    for item in mine:
        item.add_marker(pytest.mark.integration)
        item.add_marker(pytest.mark.filterwarnings(*WARNINGS))
    places = [at for at, item in enumerate(items) if item in mine]
    for at, item in zip(places, sorted(mine, key=_place), strict=True):
        items[at] = item


@dataclass(frozen=True)
class First:
    """What was seen of the first run before anything else happened in the house."""

    done: Done
    left_running: list[str]
    in_home: list[str]
    hashes: dict[str, str]
    recorded: dict[str, dict[str, Any]]
    accuracy: float


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("with a space")


@pytest.fixture(scope="session")
def built(place: Path) -> tuple[House, First]:
    """The house after its first run."""
    house = project(place / "the house", LESS)
    done = house.script("run", "--json")
    in_home = [str(p) for p in house.home.rglob("*")]
    accuracy = house.artifact("distill/metrics.json")["test/accuracy"] if done.code == 0 else 0.0
    seen = First(
        done,
        house.left_running(),
        in_home,
        house.hashes(),
        house.recorded() if done.code == 0 else {},
        accuracy,
    )
    house.commit("The first run")
    return house, seen


@pytest.fixture(scope="session")
def house(built: tuple[House, First]) -> House:
    return built[0]


@pytest.fixture(scope="session")
def first(built: tuple[House, First]) -> First:
    return built[1]


@pytest.fixture(scope="session")
def prefect(house: House) -> Iterator[str]:
    """Prefect's server of the house, as `stillhouse ui` leaves it open; runs find it and use it."""
    started = server.start(house.root)
    server.wait(started)
    yield started.url
    server.stop(started, house.root)


# --- the second lane ----------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _lane(request: pytest.FixtureRequest, place: Path) -> Iterator[dict[str, Future[object]]]:
    """Start, beside everything else, the stories that asked-for tests need: they take minutes of
    waiting for processes.
    """
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # so a shell starts what it puts into the background, and so would our commands begin
        signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = {item.path.stem for item in request.session.items}
    told = {
        "repeated": (stories.repeated, {"test_dvc", "test_remote"}),
        "killed": (stories.killed, {"test_killed"}),
    }  # in the order in which they are asked for
    with ThreadPoolExecutor(max_workers=1) as executor:
        lane = {
            name: executor.submit(story, place)
            for name, (story, files) in told.items()
            if files & asked
        }
        yield lane
        for future in lane.values():
            future.cancel()


@pytest.fixture(scope="session")
def killed(_lane: dict[str, Future[object]]) -> object:
    return _lane["killed"].result()


@pytest.fixture(scope="session")
def repeated(_lane: dict[str, Future[object]]) -> object:
    return _lane["repeated"].result()
