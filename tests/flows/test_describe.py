import json
from pathlib import Path

import pytest
from flows.intake import files

from stillhouse_flows import show_data
from stillhouse_flows.describe import describe
from stillhouse_flows.intake.hints import Hints


def test_a_table_is_described_column_by_column(tmp_path: Path):
    found = describe(files.hospital(tmp_path), tmp_path, Hints())
    assert json.loads(json.dumps(found)) == {
        **found,
        "columns": json.loads(json.dumps(found["columns"])),
    }
    by_name = {column["name"]: column for column in found["columns"]}
    assert (found["kind"], found["rows"], found["duplicates"]) == ("table", 400, 0)
    assert by_name["age (years)"]["kind"] == "integer"
    assert 0 < by_name["age (years)"]["missing"] < 100
    assert by_name["Hb [g/dL]"]["unit"] == "g/dL"
    assert by_name["ward"]["distinct"] == 2
    assert found["candidates"]["groups"] == ["patient_nbr"]
    assert found["student"]["macs"] > 0
    assert "target: readmitted" in found["params"]


def test_equal_rows_and_rows_without_a_target_are_counted(tmp_path: Path):
    lines = [f"{at % 50},{at % 40},{'' if at % 10 == 9 else at % 2}" for at in range(200)]
    (tmp_path / "t.csv").write_text("a,b,label\n" + "\n".join(lines))
    found = describe(tmp_path / "t.csv", tmp_path, Hints())
    assert (found["unlabelled"], found["duplicates"]) == (20, 0)
    (tmp_path / "t.csv").write_text("a,b,label\n" + "\n".join([*lines, *lines[:30]]))
    assert describe(tmp_path / "t.csv", tmp_path, Hints())["duplicates"] == 30


def test_windows_with_a_gap_are_told_among_the_notes(tmp_path: Path):
    path = files.watch(tmp_path)
    lines = path.read_text().splitlines()
    lines[100] = lines[100].rpartition(",")[0] + ","
    path.write_text("\n".join(lines))
    assert any(
        "windows have a missing value" in note
        for note in describe(path, tmp_path, Hints())["notes"]
    )


@pytest.mark.parametrize("make", [files.hospital, files.watch, files.signs])
def test_what_is_shown_fits_eighty_columns_up_to_the_settings(
    tmp_path: Path, make, capsys: pytest.CaptureFixture[str]
):
    show_data.described(describe(make(tmp_path), tmp_path, Hints()))
    shown = capsys.readouterr().out.split("params.yaml would say:")[0]
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "multiply-accumulates a row" in " ".join(shown.split())
