"""Every test starts from the same seeds, one torch thread, and its own folder for whatever
libraries write.
"""

import os
import random
import tempfile
from pathlib import Path

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
TOGETHER = ("integration", "steps", "receipt", "tuning", "release", "faults")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def room(item: pytest.Item) -> str:
        return item.path.relative_to(Path(__file__).parent).parts[0]

    for item in items:
        group = room(item) if room(item) in TOGETHER else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: TOGETHER.index(room(item)) if room(item) in TOGETHER else 9)


@pytest.fixture(autouse=True)
def _seeds() -> None:
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
