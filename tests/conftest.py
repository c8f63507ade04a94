"""Every test starts from the same seeds, one torch thread, and its own folder for whatever
libraries write.
"""

import os
import random
import tempfile
from typing import Any

_scratch = tempfile.mkdtemp(prefix="stillhouse-tests-")
os.environ.update(
    HOME=_scratch,
    XDG_CACHE_HOME=f"{_scratch}/cache",
    MPLCONFIGDIR=f"{_scratch}/matplotlib",
    PREFECT_HOME=f"{_scratch}/prefect",
    DVC_SITE_CACHE_DIR=f"{_scratch}/dvc",
    DO_NOT_TRACK="1",
    DVC_NO_ANALYTICS="1",
    GX_ANALYTICS_ENABLED="false",
    MLFLOW_DISABLE_TELEMETRY="true",
)

import pytest  # noqa: E402

# Rooms whose tests share what is costly to build: with several workers each stays whole on one,
# and the longest begins first.
TOGETHER = ("integration", "steps", "servers", "receipt", "tuning", "release", "faults")


def _scope(nodeid: str) -> str:
    """Return what stays on one worker: such a room, else the test's file."""
    file = nodeid.split("::")[0]
    room = file.split("/")[1]
    return room if room in TOGETHER else file


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's: without it tests run one after another
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.option.maxschedchunk is not None:  # the fault suite, test by test: `make test-faults`
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _scope(nodeid)

    return Rooms(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {room: at for at, room in enumerate(TOGETHER)}
    items.sort(key=lambda item: places.get(_scope(item.nodeid), len(places)))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """What a file of tests draws when it is imported is the same each time, whatever was imported
    before it.
    """
    if isinstance(collector, pytest.Module):
        _seed()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    _seed()


def _seed() -> None:
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _disarmed():
    """Leave no failpoint armed or counted: the next test must not see this one's."""
    from stillhouse import failpoints

    yield
    failpoints.arm("")
    failpoints.record(False)
