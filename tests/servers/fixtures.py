"""The servers, each started once for all who ask; PostgreSQL that is absent skips them with its
reason.
"""

from collections.abc import Iterator

import pytest
from servers import postgres
from servers.postgres import Postgres
from servers.proxy import Proxy
from servers.standing import Standing, mlflow_server, prefect_server


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    if not postgres.installed():
        pytest.skip(postgres.MISSING)
    made = Postgres()
    try:
        yield made.make()
    finally:
        made.remove()


@pytest.fixture(scope="session")
def mlflow(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("mlflow server")
    server = mlflow_server(folder, database.create("mlflow"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def prefect(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("prefect server")
    url = database.create("prefect").replace("+psycopg", "+asyncpg")
    server = prefect_server(folder, url)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def proxy(mlflow: Standing) -> Iterator[Proxy]:
    """Between the test and MLflow; it fails only as it is told to."""
    opened = Proxy(mlflow.port).open()
    try:
        yield opened
    finally:
        opened.quiet()
        opened.close()
