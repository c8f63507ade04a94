import pytest

from stillhouse.environment import Place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One workspace, with a space in its name and one MLflow database, for all: making the database
    costs seconds.
    """
    root = tmp_path_factory.mktemp("a workspace")
    return Place(
        root,
        f"sqlite:///{root / '.stillhouse' / 'mlflow.db'}",
        root / ".stillhouse" / "mlartifacts",
        None,
        None,
        1,
    )


@pytest.fixture(autouse=True)
def _fail_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `environment.prepare` does: MLflow's own defaults retry for four minutes."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(
        pytest.mark.filterwarnings(
            "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
        )
    )  # mlflow 3.17 on SQLAlchemy 2.1
