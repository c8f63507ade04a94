"""The source on a real PostgreSQL server: it reads, cannot write, and its watermark tells of new
rows.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from data.sources.server import postgresql

from stillhouse import config
from stillhouse.data.source import Source
from stillhouse.errors import SourceError
from stillhouse.pipeline import lockfile
from stillhouse.steps.prepare import step

pytestmark = pytest.mark.integration

SPEC = {
    "name": "sql",
    "variable": "WAREHOUSE",
    "query": "SELECT id, age, ward, day, outcome FROM stays",
    "key": "id",
    "target": "outcome",
    "time": "day",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture
def stays(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE", server)
    write(
        server,
        "DROP TABLE IF EXISTS stays",
        "CREATE TABLE stays (id bigint, age numeric(5, 2), ward text, day timestamptz, "
        "outcome boolean, changed int DEFAULT 1)",
        "INSERT INTO stays SELECT at, CASE WHEN at % 5 = 0 THEN NULL ELSE at / 4.0 END, "
        "CASE WHEN at % 2 = 0 THEN 'north' ELSE 'süd' END, "
        "timestamptz '2026-01-01 00:00+00' + at * interval '1 day', at % 3 = 0 "
        "FROM generate_series(40, 1, -1) AS at",
    )


def write(address: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(address) as connection:
        for statement in statements:
            connection.execute(statement)


def source(**changes: str) -> Source:
    made: Source = config.plugin("sources", {**SPEC, **changes}, where="prepare.source")
    return made


@pytest.mark.usefixtures("stays")
def test_a_server_s_rows_come_in_the_order_of_their_key() -> None:
    found = source().read(Path())
    assert found.rows.tolist() == list(range(1, 41))
    assert found.classes == ("false", "true")
    assert [(f.name, f.kind, f.categories) for f in found.schema.features] == [
        ("age", "number", ()),
        ("ward", "category", ("north", "süd")),
    ]
    assert found.inputs[4].isnan().tolist() == [True, False]
    assert found.inputs[:4, 0].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.time is not None
    assert found.time.diff().unique().tolist() == [86400.0]


@pytest.mark.usefixtures("stays")
def test_the_transaction_only_reads(server: str) -> None:
    write(
        server,
        "CREATE OR REPLACE FUNCTION grow() RETURNS bigint LANGUAGE sql AS "
        "'INSERT INTO stays VALUES (99) RETURNING id'",
    )
    with pytest.raises(SourceError, match="read-only transaction"):
        source(query="SELECT grow() AS id, 1 AS age, true AS outcome, now() AS day").read(Path())
    assert len(source().read(Path())) == 40


@pytest.mark.usefixtures("stays")
def test_new_rows_change_the_watermark_and_a_changed_cell_only_a_watermark_that_sees_it(
    server: str,
) -> None:
    own = {"watermark": "SELECT count(*), max(changed) FROM stays"}
    first = source().watermark(Path()), source(**own).watermark(Path())
    assert first == ("40 | 40", "40 | 1")
    write(server, "UPDATE stays SET age = 3, changed = 2 WHERE id = 7")
    assert (source().watermark(Path()), source(**own).watermark(Path())) == ("40 | 40", "40 | 2")
    write(server, "INSERT INTO stays VALUES (41, 3, 'north', now(), true)")
    assert source().watermark(Path()) == "41 | 41"


@pytest.mark.usefixtures("stays")
def test_the_watermark_is_an_input_of_prepare(server: str, tmp_path: Path) -> None:
    params = {"prepare": {"source": SPEC}}
    before = lockfile.named_files(step, params, tmp_path)
    assert before == {"watermark of prepare.source": "40 | 40"}
    assert lockfile.named_files(step, params, tmp_path) == before
    write(server, "DELETE FROM stays WHERE id = 40")
    assert lockfile.named_files(step, params, tmp_path) != before


@pytest.mark.usefixtures("stays")
@pytest.mark.parametrize(
    ("watermark", "said"),
    [
        ("SELECT id FROM stays", "several rows, not one"),
        ("SELECT id FROM stays WHERE id > 90", "no row, not one"),
        ("SELECT max(nothing) FROM stays", "refuses the query"),
    ],
)
def test_a_watermark_that_is_not_one_row_is_refused(watermark: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        source(watermark=watermark).watermark(Path())
    assert source(watermark="SELECT max(id) FROM stays").watermark(Path()) == "40"
