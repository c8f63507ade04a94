import itertools
from pathlib import Path

import pytest

from stillhouse.release.registry import Registry

_numbers = itertools.count()


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One workspace, with a space in its name and one MLflow database, for all: making the database
    costs seconds.
    """
    return tmp_path_factory.mktemp("a workspace")


@pytest.fixture
def model() -> str:
    return f"model-{next(_numbers)}"


@pytest.fixture
def registry(root: Path, model: str) -> Registry:
    from release.house import place

    return Registry.open(place(root), model)


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(
        pytest.mark.filterwarnings(
            "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
        )
    )  # mlflow 3.17 on SQLAlchemy 2.1
