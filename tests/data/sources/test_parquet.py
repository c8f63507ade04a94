import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from stillhouse import config
from stillhouse.data import columnar
from stillhouse.data.dataset import Dataset
from stillhouse.data.notices import ColumnLeftOut
from stillhouse.errors import SettingsError, SourceError

DAY = datetime.datetime(2026, 1, 1)
COLUMNS: dict[str, Any] = {
    "age": [30.5, None, 41.0, float("nan")] * 3,
    "stays": pyarrow.array([1, 2, None, 70000] * 3, pyarrow.int32()),
    "ward": pyarrow.array(["north", "south", None, "north"] * 3).dictionary_encode(),
    "smokes": [True, False, None, True] * 3,
    "price": [Decimal("1.50"), Decimal("2.25"), None, Decimal("1E+2")] * 3,
    "outcome": ["home", "home", "stay", "stay"] * 3,
}


def write(folder: Path, columns: dict[str, Any] | None = None, **settings: Any) -> Path:
    parquet.write_table(pyarrow.table(columns or COLUMNS), folder / "rows.parquet", **settings)
    return folder


def read(folder: Path, **settings: object) -> Dataset:
    source = config.plugin(
        "sources",
        {"name": "parquet", "path": "rows.parquet", "target": "outcome", **settings},
        where="prepare.source",
    )
    made: Dataset = source.read(folder)
    return made


def test_kinds_categories_and_missing_cells_are_those_of_a_text_file(tmp_path: Path) -> None:
    found = read(write(tmp_path))
    assert [(f.name, f.kind, f.missing) for f in found.schema.features] == [
        ("age", "number", True),
        ("stays", "integer", True),
        ("ward", "category", True),
        ("smokes", "binary", True),
        ("price", "number", True),
    ]
    assert found.schema.features[2].categories == ("north", "south")
    assert found.classes == ("home", "stay")
    np.testing.assert_array_equal(
        found.inputs[:4].numpy(),
        [
            [30.5, 1, 0, 1, 1.5],
            [np.nan, 2, 1, 0, 2.25],
            [41, *[np.nan] * 4],
            [np.nan, 70000, 0, 1, 100],
        ],
    )


def test_the_same_cells_give_the_rows_that_a_text_file_gives(tmp_path: Path) -> None:
    write(tmp_path)
    lines = [",".join(COLUMNS)]
    for row in pyarrow.table(COLUMNS).to_pylist():
        lines.append(",".join("" if v is None or v != v else str(v) for v in row.values()))
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    text: Dataset = config.plugin(
        "sources", {"name": "csv", "path": "rows.csv", "target": "outcome"}, where="prepare.source"
    ).read(tmp_path)
    assert read(tmp_path).fingerprint() == text.fingerprint()


@pytest.mark.parametrize(
    "settings",
    [{"compression": "zstd"}, {"row_group_size": 5}, {"use_dictionary": False}, {"version": "1.0"}],
    ids=str,
)
def test_how_it_was_written_does_not_matter(tmp_path: Path, settings: dict[str, Any]) -> None:
    wanted = read(write(tmp_path)).fingerprint()
    assert read(write(tmp_path, **settings)).fingerprint() == wanted


def test_dates_may_be_the_time_and_are_seconds(tmp_path: Path) -> None:
    moments = [DAY + datetime.timedelta(hours=at) for at in range(12)]
    wanted = [DAY.replace(tzinfo=datetime.UTC).timestamp() + 3600 * at for at in range(12)]
    for kind in (pyarrow.timestamp("ns"), pyarrow.timestamp("ms"), pyarrow.timestamp("us", "UTC")):
        found = read(
            write(tmp_path, {**COLUMNS, "when": pyarrow.array(moments, kind)}), time="when"
        )
        assert found.time is not None
        assert found.time.tolist() == wanted
        assert "when" not in {f.name for f in found.schema.features}
    days = read(write(tmp_path, {**COLUMNS, "when": [DAY.date()] * 12}), time="when")
    assert days.time is not None
    assert days.time[0] == wanted[0]


def test_groups_and_keys_are_no_features(tmp_path: Path) -> None:
    found = read(
        write(tmp_path, {**COLUMNS, "patient": ["p", "q"] * 6, "number": list(range(100, 112))}),
        group="patient",
        key="number",
    )
    assert found.groups is not None
    assert len(found.groups.unique()) == 2
    assert found.rows.tolist() == list(range(100, 112))
    assert len(found.schema.features) == 5


def test_an_index_that_pandas_wrote_is_left_out_aloud(tmp_path: Path) -> None:
    write(tmp_path, {**COLUMNS, "__index_level_0__": list(range(12))})
    with pytest.warns(ColumnLeftOut, match="counts the rows"):
        assert len(read(tmp_path).schema.features) == 5


def test_a_dropped_column_may_hold_anything(tmp_path: Path) -> None:
    write(tmp_path, {**COLUMNS, "scan": [[1, 2]] * 12, "born": [DAY] * 12})
    assert (
        read(tmp_path, drop=["scan", "born"]).fingerprint() == read(write(tmp_path)).fingerprint()
    )


@pytest.mark.parametrize(
    ("columns", "settings", "said"),
    [
        ({"scan": [[1, 2]] * 12}, {}, "column 'scan': the column is nested .list"),
        ({"at": [{"x": 1}] * 12}, {}, "column 'at': the column is nested .struct"),
        ({"born": [DAY] * 12}, {}, "column 'born': the column holds dates"),
        (
            {"outcome": [DAY.date()] * 12},
            {},
            "column 'outcome': the column holds dates or times .date32",
        ),
        ({"outcome": [DAY] * 12}, {}, "neither classes nor numbers"),
        (
            {"wait": [datetime.timedelta(1)] * 12},
            {},
            "column 'wait': the column holds dates or times .duration",
        ),
        (
            {"hour": [datetime.time(1)] * 12},
            {"time": "hour"},
            "column 'hour': the column holds dates or times",
        ),
        ({"raw": [b"\x00\xff"] * 12}, {}, "column 'raw': the column holds binary"),
        ({"outcome": ["home"] * 12}, {}, "only one class"),
        (
            {"stays": [1, 2, None, 4] * 3},
            {"kinds": {"age": "integer"}},
            "row 0 holds '30.5', not a whole number",
        ),
        ({"age": [np.inf, 2.0, 3.0, 4.0] * 3}, {}, "row 0 holds 'inf', which is infinite"),
        ({"when": [DAY, None] * 6}, {"time": "when"}, "row 1 has no time"),
        (
            {"note": [f"patient {at % 6}" for at in range(12)]},
            {"key": "note"},
            "column 'note': the rows 0 and 6 have the same key patient 0",
        ),
        ({}, {"target": "outcme"}, "no column 'outcme' for the target. Did you mean 'outcome'"),
    ],
)
def test_columns_that_are_no_features_or_targets_are_refused_by_name(
    tmp_path: Path, columns: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    write(tmp_path, {**COLUMNS, **columns})
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, **settings)
    assert "rows.parquet" in str(caught.value)
    assert len(read(write(tmp_path))) == 12


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pyarrow.table([[1, 2], [3, 4], ["a", "b"]], names=["x", "x", "outcome"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(SourceError, match="the column 'x' is there twice"):
        read(tmp_path)


def whole(folder: Path) -> bytes:
    return (write(folder) / "rows.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"\x80\x04" + data, "not Parquet but a pickle"),
        (lambda data: b"a,b\n1,2\n", "not Parquet but something else"),
        (lambda data: b"", "empty"),
        (lambda data: data[:-20], "cut off"),
        (lambda data: data[:4], "cut off"),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7f" + b"PAR1", "footer has more than"),
        (lambda data: data[:4] + b"\xff" * 200 + data[204:], "broken"),
        (lambda data: data[:-300] + b"\x55" * 292 + data[-8:], "broken"),
        (lambda data: b"PARE" + data[4:], "encrypted"),
    ],
    ids=[
        "pickle",
        "text",
        "empty",
        "cut",
        "head only",
        "huge footer",
        "bad pages",
        "bad footer",
        "encrypted",
    ],
)
def test_a_file_that_is_no_whole_parquet_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    data = whole(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(change(data))
    with pytest.raises(SourceError, match=said):
        read(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(data)
    assert len(read(tmp_path)) == 12


def test_sizes_are_told_from_the_footer_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.setattr(columnar, "MAX_CELLS", 71)
    with pytest.raises(SourceError, match="12 rows of 6 columns, more than 71 cells"):
        read(tmp_path)
    monkeypatch.setattr(columnar, "MAX_CELLS", 72)
    assert len(read(tmp_path)) == 12
    monkeypatch.setattr(columnar, "MAX_BYTES", 100)
    with pytest.raises(SourceError, match="unpacked, the file has"):
        read(tmp_path)


def test_a_long_text_that_stands_in_every_row_is_kept_once(tmp_path: Path) -> None:
    write(tmp_path, {"note": ["x" * 10_000, "y"] * 500, "outcome": ["a", "a", "b", "b"] * 250})
    cells = columnar.read_columns(
        tmp_path / "rows.parquet", dates=frozenset(), unread=frozenset()
    ).columns["note"]
    assert len({id(cell) for cell in cells}) == 2
    assert read(tmp_path).schema.features[0].categories == ("x" * 10_000, "y")


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {name: pyarrow.array([], pyarrow.string()) for name in COLUMNS})
    with pytest.raises(SourceError, match="the file is empty"):
        read(tmp_path)


def test_settings_name_columns_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no column 'aeg'"):
        read(write(tmp_path), drop=["aeg"])
