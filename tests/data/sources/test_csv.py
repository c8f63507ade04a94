import gzip
from pathlib import Path

import pytest
import torch

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.notices import ColumnLeftOut
from stillhouse.errors import SettingsError, SourceError

GOOD = "a,b,label\n" + "".join(f"{i},{i + 0.5},{'xy'[i % 2]}\n" for i in range(20))
QUOTED = GOOD.replace("a,b,label", '"a","b","label"')


def read(folder: Path, content: str | bytes, **settings: object) -> Dataset:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "rows.csv").write_bytes(data)
    source = config.plugin(
        "sources",
        {"name": "csv", "path": "rows.csv", "target": "label", **settings},
        where="prepare.source",
    )
    made: Dataset = source.read(folder)
    return made


def test_kinds_are_inferred_and_missing_cells_stay_missing(tmp_path: Path) -> None:
    text = "size,age,flag,colour,label\n1.5,3,true,red,no\n,4,false,blue,yes\n2.5,NA,true,,yes\n3,5.0,false,red,no\n"
    found = read(tmp_path, text)
    assert [(f.name, f.kind, f.missing) for f in found.schema.features] == [
        ("size", "number", True),
        ("age", "integer", True),
        ("flag", "binary", False),
        ("colour", "category", True),
    ]
    assert found.schema.features[3].categories == ("blue", "red")
    assert found.classes == ("no", "yes")
    nan = float("nan")
    wanted = torch.tensor([[1.5, 3, 1, 1], [nan, 4, 0, 0], [2.5, nan, 1, nan], [3, 5, 0, 1]])
    torch.testing.assert_close(found.inputs, wanted, equal_nan=True)
    assert found.targets.tolist() == [0, 1, 1, 0]


def test_a_given_kind_replaces_the_inferred_one(tmp_path: Path) -> None:
    text = "zone,label\n10,a\n9,b\n10,a\n9,b\n"
    assert read(tmp_path, text).schema.features[0].kind == "integer"
    feature = read(tmp_path, text, kinds={"zone": "category"}).schema.features[0]
    assert (feature.kind, feature.categories) == ("category", ("9", "10"))


@pytest.mark.parametrize(
    "content",
    [
        "﻿" + GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\n\n"),
        GOOD.replace("a,b,label", " a , b ,label "),
        GOOD.rstrip("\n"),
        gzip.compress(GOOD.encode()),
        QUOTED,
        QUOTED.replace(",", ";"),
        QUOTED.replace(",", "\t"),
        '"a"' + GOOD[1:],
    ],
    ids=[
        "bom",
        "semicolons",
        "tabs",
        "crlf",
        "blank lines",
        "spaces",
        "no last newline",
        "gzip",
        "quoted names",
        "quoted names and semicolons",
        "quoted names and tabs",
        "the first name quoted",
    ],
)
def test_odd_but_legal_files_read_the_same(tmp_path: Path, content: str | bytes) -> None:
    found = read(tmp_path, content)
    assert [f.name for f in found.schema.features] == ["a", "b"]
    assert found.inputs[3].tolist() == [3.0, 3.5]
    assert len(found) == 20


def test_row_names_as_r_writes_them_are_no_feature(tmp_path: Path) -> None:
    lines = "".join(f'"{i + 1}",{i},"{"xy"[i % 2]}"\n' for i in range(20))
    with pytest.warns(ColumnLeftOut):
        found = read(tmp_path, '"","a","label"\n' + lines)
    assert [f.name for f in found.schema.features] == ["a"]
    assert found.classes == ("x", "y")


def test_a_quote_that_never_closes_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Quotes must close"):
        read(tmp_path, '"a,b,label\n1,2,x\n')


def test_quoted_delimiters_line_breaks_and_other_alphabets_are_kept(tmp_path: Path) -> None:
    text = 'Größe in cm,"ort, land",label\n1,"Zürich, CH",ja\n2,"Köln\nNord",nein\n3,"say ""hi""",ja\n4,日本,nein\n'
    found = read(tmp_path, text)
    assert [f.name for f in found.schema.features] == ["Größe in cm", "ort, land"]
    assert set(found.schema.features[1].categories) == {
        "Zürich, CH",
        "Köln\nNord",
        'say "hi"',
        "日本",
    }


def test_decimal_commas_are_read_when_told(tmp_path: Path) -> None:
    text = "x;label\n" + "".join(f"{i},25;{'ab'[i % 2]}\n" for i in range(60))
    with pytest.raises(SourceError, match="decimal"):
        read(tmp_path, text)
    assert read(tmp_path, text, decimal=",").inputs[2].item() == 2.25


def test_whole_number_classes_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    text = "x,label\n" + "".join(
        f"{i},{[2, 10, 4][i % 3]}{'.0' if i > 5 else ''}\n" for i in range(12)
    )
    found = read(tmp_path, text)
    assert found.classes == ("2", "4", "10")
    assert found.targets[:3].tolist() == [0, 2, 1]


def test_a_row_without_target_is_unlabelled(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + "7,8,\n")
    assert found.targets[-1].item() == -1


def test_key_group_and_time_are_no_features(tmp_path: Path) -> None:
    text = "id,who,when,x,label\n" + "".join(
        f"{100 + i},p{i // 4},2026-01-{i + 1:02},{i},{'ab'[i % 2]}\n" for i in range(12)
    )
    found = read(tmp_path, text, key="id", group="who", time="when")
    assert [f.name for f in found.schema.features] == ["x"]
    assert found.rows.tolist() == list(range(100, 112))
    assert found.groups is not None
    assert found.time is not None
    assert len(found.groups.unique()) == 3
    assert (found.time[1] - found.time[0]).item() == 86400


def test_a_written_index_and_an_empty_column_are_left_out_with_a_warning(tmp_path: Path) -> None:
    text = ",x,void,label\n" + "".join(f"{i},{i * 2},,{'ab'[i % 2]}\n" for i in range(10))
    with pytest.warns(ColumnLeftOut) as caught:
        found = read(tmp_path, text)
    assert [f.name for f in found.schema.features] == ["x"]
    assert len(caught) == 2


def test_units_bounds_and_immutable_reach_the_schema(tmp_path: Path) -> None:
    feature = read(
        tmp_path, GOOD, units={"a": "cm"}, bounds={"a": [0, 50]}, immutable=["a"]
    ).schema.features[0]
    assert (feature.unit, feature.low, feature.high, feature.mutable) == ("cm", 0.0, 50.0, False)


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        ("", {}, "empty"),
        ("\n \n", {}, "empty"),
        ("a,label\n", {}, "empty"),
        (GOOD, {"target": "y"}, "no column 'y'.*label"),
        (GOOD + "1,2\n", {}, "line 22 has 2 cells"),
        (GOOD + "1,2,x,3\n", {}, "line 22 has 4 cells"),
        ('a,b,label\n1,"2,x\n', {}, "line 2"),
        ("a,a,label\n1,2,x\n", {}, "column 'a' is there twice"),
        ("1,2,3\n4,5,6\n", {}, "no header"),
        (GOOD.replace("5,5.5", "5,inf"), {}, "line 7 holds 'inf'"),
        (GOOD.replace("5,5.5", "5,1e99"), {}, "line 7 holds '1e99'"),
        (GOOD.replace("5,5.5", "5,oops"), {}, "line 7 holds 'oops' in a column of numbers"),
        ("a,label\n" + "1,x\n" * 9, {}, "only one class, 'x'; at least two"),
        ("a,label\n" + "1,x\n" * 9 + "2,y\n", {}, "class 'y' has one row"),
        ("a,label\n" + "1,\n" * 9, {}, "no row has a target"),
        ("label\nx\ny\nx\ny\n", {}, "no column is left"),
        (GOOD.replace("5,5.5", "5,"), {"key": "b"}, "line 7 has no key"),
        (GOOD.replace("\n5,", "\n4,"), {"key": "a"}, "lines 6 and 7 have the same key 4"),
        (GOOD.replace("\n5,", "\n,"), {"group": "a"}, "line 7 has no group"),
        (GOOD.replace("\n5,", "\nsoon,"), {"time": "a"}, "line 7 holds 'soon'"),
        (GOOD.encode("utf-16"), {}, "UTF-16"),
        ("a,label\né,x\n".encode("latin-1"), {}, "byte 8"),
        (gzip.compress(GOOD.encode())[:-9], {}, "cut off"),
        (b"\x80\x04\x95 not text", {}, "not utf-8"),
    ],
)
def test_a_bad_file_is_refused_and_named(
    tmp_path: Path, content: str | bytes, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, content, **settings)
    assert "rows.csv" in str(caught.value)
    assert len(read(tmp_path, GOOD)) == 20


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'absent\.csv' is missing"):
        read(tmp_path, GOOD, path="absent.csv")


def test_free_text_is_refused_unless_it_is_called_a_category(tmp_path: Path) -> None:
    text = "note,x,label\n" + "".join(f"note {i},{i},{'ab'[i % 2]}\n" for i in range(100))
    with pytest.raises(SourceError, match="100 different texts"):
        read(tmp_path, text)
    assert len(read(tmp_path, text, drop=["note"]).schema.features) == 1
    assert (
        len(read(tmp_path, text, kinds={"note": "category"}).schema.features[0].categories) == 100
    )


@pytest.mark.parametrize(
    "setting", [{"drop": ["c"]}, {"kinds": {"c": "number"}}, {"units": {"c": "m"}}]
)
def test_a_setting_that_names_no_column_is_refused(
    tmp_path: Path, setting: dict[str, object]
) -> None:
    with pytest.raises(SettingsError, match="no column 'c'"):
        read(tmp_path, GOOD, **setting)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unpacked"):
        read(tmp_path, gzip.compress(b"0" * (257 * 2**20), compresslevel=1))


def test_a_key_of_names_is_kept_beside_the_rows_places(tmp_path: Path) -> None:
    text = "who,a,label\n" + "".join(f"case-{i % 9}{i},{i},{'xy'[i % 2]}\n" for i in range(20))
    found = read(tmp_path, text, key="who")
    assert found.rows.tolist() == list(range(20))
    assert found.keys is not None
    assert found.keys[9:11] == ("case-09", "case-110")
    assert [feature.name for feature in found.schema.features] == ["a"]
    numbers = read(tmp_path, text.replace("case-", ""), key="who")
    assert (numbers.rows.tolist()[:2], numbers.keys) == ([0, 11], None)
    with pytest.raises(SourceError, match="the lines 2 and 3 have the same key case-00"):
        read(tmp_path, text.replace("case-11", "case-00"), key="who")


def test_the_order_of_lines_and_of_columns_changes_no_class_s_code(tmp_path: Path) -> None:
    lines = [f"{i},{['zebra', 'antelope', 'lion'][i % 3]}" for i in range(12)]
    first = read(tmp_path, "a,label\n" + "\n".join(lines))
    second = read(tmp_path, "a,label\n" + "\n".join(reversed(lines)))
    swapped = read(
        tmp_path, "label,a\n" + "\n".join(",".join(reversed(x.split(","))) for x in lines)
    )
    assert first.classes == second.classes == swapped.classes == ("antelope", "lion", "zebra")
    assert first.targets.tolist() == second.targets.flip(0).tolist() == swapped.targets.tolist()


@pytest.mark.parametrize(
    "date", ["2026-01-{:02}", "2026-01-{:02}T10:30:00", "{:02}.01.2026", "1/{}/2026"]
)
def test_dates_are_no_targets(tmp_path: Path, date: str) -> None:
    lines = [f"{i},{date.format(1 + i % 9)}" for i in range(40)]
    with pytest.raises(SourceError, match="column 'label': the target holds dates, such as"):
        read(tmp_path, "a,label\n" + "\n".join(lines))
    months = [f"{i},2026-{1 + i % 9:02}" for i in range(40)]
    assert len(read(tmp_path, "a,label\n" + "\n".join(months)).classes) == 9


def test_ten_thousand_classes_are_refused_and_a_thousand_taken(tmp_path: Path) -> None:
    text = "a,label\n" + "".join(f"{i},person {i % 10_000}\n" for i in range(20_000))
    with pytest.raises(SourceError, match=r"the target has 10,000 classes, more than 5,000"):
        read(tmp_path, text)
    fewer = "a,label\n" + "".join(f"{i},person {i % 1000}\n" for i in range(20_000))
    assert len(read(tmp_path, fewer).classes) == 1000
