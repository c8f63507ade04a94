"""Faults: a cheap pass of each kind belongs to every test run, the rest to `make test-faults`,
which writes docs/reliability.json.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.tally import TALLY, Tally

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(
                pytest.mark.filterwarnings(
                    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
                )
            )  # mlflow on SQLAlchemy 2.1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed and item.path.parent == Path(__file__).parent:
        TALLY.violations.append(
            f"{item.nodeid}: {str(call.excinfo.value if call.excinfo else '').splitlines()[:1]}"
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the counts of a whole run of the marked tests; one of a few tests would tell too
    little.
    """
    config = session.config
    whole = [Path(word).resolve() for word in config.args] == [
        Path(__file__).parent
    ] and not config.option.keyword
    if (
        whole
        and config.option.markexpr == "faults"
        and session.testscollected
        and not session.shouldstop
    ):
        TALLY.write()


@pytest.fixture
def tally() -> Tally:
    return TALLY
