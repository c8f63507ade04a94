import sqlite3
from pathlib import Path

import numpy as np
import pytest

from stillhouse import config
from stillhouse.data import query
from stillhouse.data.dataset import Dataset
from stillhouse.errors import ServerUnreachable, SettingsError, SourceError

ALL = "SELECT * FROM stays"


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "h.db") as made:
        made.execute(
            "CREATE TABLE stays (id INTEGER, age REAL, ward TEXT, who TEXT, day TEXT, scan "
            "BLOB, outcome TEXT)"
        )
        rows = [
            (
                at,
                at / 2 if at % 5 else None,
                "north" if at % 2 else "south",
                f"p{at % 3}",
                f"2026-01-{at:02}",
                None,
                "ab"[at % 2],
            )
            for at in range(12, 0, -1)
        ]
        made.executemany("INSERT INTO stays VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    made.close()
    return tmp_path


def read(folder: Path, sql: str = ALL, **settings: object) -> Dataset:
    spec = {
        "name": "sql",
        "database": "h.db",
        "query": sql,
        "key": "id",
        "target": "outcome",
        "drop": ["scan"],
        "group": "who",
        "time": "day",
        **settings,
    }
    made: Dataset = config.plugin("sources", spec, where="prepare.source").read(folder)
    return made


def test_rows_come_in_the_order_of_their_key(hospital: Path) -> None:
    found = read(hospital)
    assert found.rows.tolist() == list(range(1, 13))
    assert [(f.name, f.kind, f.missing) for f in found.schema.features] == [
        ("age", "number", True),
        ("ward", "category", False),
    ]
    np.testing.assert_array_equal(
        found.inputs[:5].numpy(), [[0.5, 0], [1, 1], [1.5, 0], [2, 1], [np.nan, 0]]
    )
    assert found.classes == ("a", "b")
    assert found.groups is not None
    assert len(found.groups.unique()) == 3
    assert found.time is not None
    assert found.time.diff().tolist() == [86400.0] * 11
    assert read(hospital, f"{ALL} ORDER BY age").fingerprint() == found.fingerprint()


def test_a_query_may_join_and_compute(hospital: Path) -> None:
    sql = (
        "WITH old AS (SELECT * FROM stays WHERE id > 2) -- the rest; is young\n SELECT id, age * "
        "2 AS age, ';' AS mark, outcome FROM old;"
    )
    found = read(hospital, sql, drop=[], group=None, time=None)
    assert found.rows.tolist() == list(range(3, 13))
    assert found.inputs[0, 0] == 3


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM stays",
        "",
        "SELECT 1; DELETE FROM stays",
        "PRAGMA user_version = 3",
        "/* SELECT */ DROP TABLE stays",
        "ATTACH 'x' AS y",
        "selection",
    ],
)
def test_what_is_not_one_select_is_refused_before_anything_is_asked(sql: str) -> None:
    with pytest.raises(SettingsError, match=r"prepare\.source\.query: the query is not one SELECT"):
        read(Path(), sql)


def test_the_connection_cannot_write_whatever_the_query_says(hospital: Path) -> None:
    before = (hospital / "h.db").read_bytes()
    for sql in (
        "WITH x AS (SELECT 1) DELETE FROM stays",
        "WITH x AS (SELECT 1) INSERT INTO stays SELECT * FROM stays",
    ):
        with pytest.raises(SourceError, match=r"h\.db: the database refuses the query"):
            read(hospital, sql)
    assert (hospital / "h.db").read_bytes() == before
    assert len(read(hospital)) == 12


@pytest.mark.parametrize(
    ("sql", "settings", "said"),
    [
        ("SELECT * FROM stay", {}, "refuses the query: no such table: stay"),
        (f"{ALL} WHERE id > 90", {}, "the query gives no row"),
        ("SELECT id, age, age, outcome FROM stays", {}, "the column 'age' is there twice"),
        (ALL, {"key": "patient"}, "no column 'patient' for the key"),
        (ALL, {"key": "who", "group": None}, "column 'who': the rows 0 and 1 have the same key p0"),
        (
            "SELECT id % 6 AS id, age, who, day, scan, outcome FROM stays",
            {},
            "column 'id': two rows have the key 0",
        ),
        (
            "SELECT id, x'00ff' AS scan, age, who, day, outcome FROM stays",
            {},
            "column 'scan': the column holds bytes",
        ),
        ("SELECT id, age, who, day, scan, 'a' AS outcome FROM stays", {}, "only one class"),
        (
            "SELECT id, CASE id WHEN 7 THEN 9e999 ELSE age END AS age, who, day, scan, "
            "outcome FROM stays",
            {},
            "row 7 holds 'inf', which is infinite",
        ),
    ],
)
def test_rows_that_are_no_table_are_refused_by_name(
    hospital: Path, sql: str, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(hospital, sql, **settings)
    assert "h.db" in str(caught.value)
    assert len(read(hospital)) == 12


def test_more_cells_than_fit_are_refused_while_they_come(
    hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "MAX_CELLS", 12 * 7)
    assert len(read(hospital)) == 12
    monkeypatch.setattr(query, "MAX_CELLS", 12 * 7 - 1)
    with pytest.raises(SourceError, match="more than 83 cells"):
        read(hospital)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the file 'h\.db' is missing"):
        read(tmp_path)
    (tmp_path / "h.db").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(SourceError, match="no sqlite database by its first bytes"):
        read(tmp_path)


def test_where_the_rows_are_is_said_once() -> None:
    with pytest.raises(SettingsError, match="neither a database nor a variable"):
        read(Path(), database="")
    with pytest.raises(SettingsError, match="both a database and a variable"):
        read(Path(), variable="WAREHOUSE")


def test_a_server_s_address_comes_from_the_environment_and_is_never_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match="variable 'WAREHOUSE' is not set"):
        read(Path(), database="", variable="WAREHOUSE")
    for address, error in [
        ("hunter2", SettingsError),
        ("mysql://me:hunter2@localhost/x", SettingsError),
        ("postgresql://me:hunter2@127.0.0.1:9/hunter2", ServerUnreachable),
    ]:
        monkeypatch.setenv("WAREHOUSE", address)
        with pytest.raises(error) as caught:
            read(Path(), database="", variable="WAREHOUSE")
        assert "WAREHOUSE" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_keys_that_are_no_numbers_order_the_rows_and_name_them(hospital: Path) -> None:
    found = read(hospital, "SELECT 'case-' || char(109 - id) AS name, * FROM stays", key="name")
    assert found.keys == tuple(f"case-{letter}" for letter in "abcdefghijkl")
    assert found.rows.tolist() == list(range(12))
    assert found.take(found.rows > 9).keys == ("case-k", "case-l")
