"""Faults: a cheap pass of each kind belongs to every test run, the rest to `make test-faults`,
which writes docs/reliability.json and the README's sentence.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import rooms
from faults.flow import small
from faults.invariants import Science, science
from faults.tally import TALLY, Tally

from stillhouse_flows import databases

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
HERE = Path(__file__).parent
# What takes longest begins first, so that both cores end together.
LONGEST_FIRST = ("test_chain", "test_syscalls", "test_limits", "test_two", "test_promoters")


def pytest_configure(config: pytest.Config) -> None:
    if "not faults" not in config.option.markexpr:
        rooms.PRELOAD[:] = rooms.WARM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(
                pytest.mark.filterwarnings(
                    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
                )
            )  # mlflow on SQLAlchemy 2.1
    if all(item.path.parent == HERE for item in items):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    name = item.path.stem
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed and item.path.parent == HERE:
        TALLY.violations.append(
            f"{item.nodeid}: {str(call.excinfo.value if call.excinfo else '').splitlines()[:1]}"
        )
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Add what a worker of pytest-xdist counted to our own."""
    counted = getattr(node, "workeroutput", {}).get("tally")
    if counted is None:
        TALLY.violations.append(f"a worker ended without its counts: {error}")
    else:
        TALLY.add(counted)


@pytest.hookimpl(trylast=True)  # when every worker has told
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the counts of a whole run; one of a few tests would tell too little."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["tally"] = TALLY.counted()
        return
    whole = [Path(word).resolve() for word in config.args] == [HERE] and not config.option.keyword
    ran = not config.option.collectonly and not session.shouldstop
    if whole and ran and config.option.markexpr == "not stories":
        TALLY.write()


@pytest.fixture(scope="session")
def unhurt(tmp_path_factory: pytest.TempPathFactory) -> Science:
    """What a retrain without any fault makes."""
    house = small(tmp_path_factory.mktemp("unhurt") / "a house")
    databases.seed(house.root)
    assert rooms.finished(rooms.start("retrain", house.root), 300) == 0, rooms.error(house.root)
    return science(house)


@pytest.fixture
def tally() -> Tally:
    return TALLY
