from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flows.intake import files

from stillhouse.errors import SourceError, UsageError
from stillhouse_flows.intake.columns import unit_of
from stillhouse_flows.intake.hints import Guess, Hints
from stillhouse_flows.intake.look import guess
from stillhouse_flows.intake.plan import read


def parts(found: Guess) -> dict[str, str]:
    return {column.name: column.part for column in found.columns}


def test_a_hospitals_table_is_read_by_patient_with_its_codes_notes_dates_and_holes(tmp_path: Path):
    found = guess(files.hospital(tmp_path), tmp_path, Hints())
    source = dict(found.source)
    assert (source["path"], source["target"]) == ("hospital.csv", "readmitted")
    assert (source["group"], source["key"], found.by) == ("patient_nbr", "encounter_id", "group")
    assert source["drop"] == ["notes", "admitted", "nothing"]
    assert source["kinds"] == {"diag_1": "category"}
    assert "unknown" in source["missing"]
    assert source["units"] == {"age (years)": "years", "Hb [g/dL]": "g/dL"}
    assert parts(found)["ward"] == "feature"


def test_a_price_is_what_one_would_like_to_know_where_nothing_else_is(tmp_path: Path):
    rows = [f"{at},{at % 7},{'ns'[at % 2]},{at * 1.5}" for at in range(150)]
    path = tmp_path / "flats.csv"
    path.write_text("\n".join(["flat,rooms,side,price", *rows]))
    found = guess(path, tmp_path, Hints())
    assert (found.source["target"], found.source["task"]) == ("price", "regression")
    path.write_text("\n".join(["flat,rooms,outcome,price", *rows]))
    assert guess(path, tmp_path, Hints()).source["target"] == "outcome"
    path.write_text("\n".join(["flat,rooms,side,asked_price", *rows]))
    with pytest.raises(UsageError, match=r"candidates: .*asked_price"):
        guess(path, tmp_path, Hints())


def test_whole_numbers_of_which_one_stands_alone_are_a_quantity(tmp_path: Path):
    def task(values: list[int]) -> Any:
        rows = [f"{at % 7},{value}" for at, value in enumerate(values)]
        (tmp_path / "t.csv").write_text("\n".join(["x,tenure", *rows]))
        hints = Hints(target="tenure")
        return guess(tmp_path / "t.csv", tmp_path, hints).source.get("task")

    codes = [at % 25 for at in range(2000)]
    assert task(codes) is None
    assert task([*codes, 40]) == "regression"
    assert task([at % 15 for at in range(2000)] + [40]) is None  # few values: a class to mend


def test_codes_are_categories_and_a_column_that_counts_rows_is_left_out(tmp_path: Path):
    rows = [f"{at},{at % 6},{at % 6},{at % 31},{'ab'[at % 2]}" for at in range(200)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["n,admission_type_id,visits,speed,label", *rows]))
    source = guess(path, tmp_path, Hints()).source
    assert (source["kinds"], source["drop"]) == ({"admission_type_id": "category"}, ["n"])


def test_a_word_among_numbers_is_told_by_its_line(tmp_path: Path):
    rows = [f"{at},{at + 0.5},{'ab'[at % 2]}" for at in range(90)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x,y,label", *rows, "oops,1,a"]))
    [why] = [column.why for column in guess(path, tmp_path, Hints()).columns if column.name == "x"]
    assert why.startswith("line 92 holds 'oops' in a column of numbers; mend it")


def test_the_users_word_goes_before_what_was_inferred(tmp_path: Path):
    hints = Hints(target="ward", time="admitted", drop=("diag_1",), group="patient_nbr")
    found = guess(files.hospital(tmp_path), tmp_path, hints)
    assert (found.source["target"], found.source["time"]) == ("ward", "admitted")
    assert parts(found)["diag_1"] == "dropped"


def test_dates_of_parquet_are_time_if_the_user_says_so_and_else_refused(tmp_path: Path):
    path = tmp_path / "t.parquet"
    days = pd.date_range("2026-01-01", periods=120)
    pd.DataFrame({"admitted": days, "x": range(120), "label": ["a", "b"] * 60}).to_parquet(path)
    found = guess(path, tmp_path, Hints(target="label", time="admitted"))
    assert (found.source["time"], found.by) == ("admitted", "time")
    assert guess(path, tmp_path, Hints(target="label", drop=("admitted",))).by == "row"
    with pytest.raises(SourceError, match=r"holds dates or times .* name it as time"):
        guess(path, tmp_path, Hints(target="label"))


def test_sensors_that_come_in_batches_are_held_out_by_time(tmp_path: Path):
    found = guess(files.gas(tmp_path), tmp_path, Hints())
    assert (found.source["time"], found.source["target"], found.by) == ("batch", "gas", "time")


def test_a_batch_that_does_not_rise_is_a_feature(tmp_path: Path):
    path = files.gas(tmp_path)
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(lines)]))
    found = guess(path, tmp_path, Hints())
    assert ("time" in found.source, found.by, parts(found)["batch"]) == (False, "row", "feature")


def test_decimal_commas_and_an_identifier_are_seen(tmp_path: Path):
    found = guess(files.crashes(tmp_path), tmp_path, Hints())
    assert (found.source["decimal"], found.source["drop"]) == (",", ["crash_id"])
    assert found.source["units"] == {"speed_kmh": "kmh"}


def test_lines_of_a_wristband_become_windows_and_a_table_if_the_user_says_so(tmp_path: Path):
    path = files.watch(tmp_path)
    found = guess(path, tmp_path, Hints())
    assert (found.source["name"], found.by) == ("series_csv", "group")
    assert (found.source["recording"], found.source["time"]) == ("user", "timestamp")
    assert (found.source["window"], found.source["stride"]) == (64, 32)
    assert guess(path, tmp_path, Hints(kind="table")).source["name"] == "csv"
    assert guess(path, tmp_path, Hints(window=30)).source["window"] == 30


def test_photographs_of_several_sizes_are_brought_to_one(tmp_path: Path):
    found = guess(files.signs(tmp_path), tmp_path, Hints())
    assert dict(found.source) == {"name": "imagefolder", "path": "signs", "resize": 32}


def test_blocks_of_lines_under_a_recordings_name_need_no_column_of_time(tmp_path: Path):
    lines = [f"r{at // 30},{at % 7},{at % 30},{'ab'[at // 30 % 2]}" for at in range(600)]

    def source(rows: list[str], name: str = "recording") -> str:
        (tmp_path / "t.csv").write_text("\n".join([f"{name},x,z,activity", *rows]))
        return str(guess(tmp_path / "t.csv", tmp_path, Hints()).source["name"])

    assert source(lines) == "series_csv"
    assert source(lines[::2] + lines[1::2]) == "csv"  # they do not stand together
    assert source([*lines[:-1], lines[-1][:-1] + "c"]) == "csv"  # one has two targets
    assert source(lines, name="ward") == "csv"
    assert source(lines, name="patient") == "csv"  # a patient's many rows are no moments


def test_names_of_recordings_say_word_and_speaker(tmp_path: Path):
    found = guess(files.words(tmp_path), tmp_path, Hints())
    assert (found.source["name"], found.by) == ("wavfolder", "group")
    assert (found.source["pattern"], found.source["length"]) == ("{label}_{group}_{n}", 1600)


def test_grey_images_in_an_npz_are_told_from_series(tmp_path: Path):
    targets = np.arange(20) % 2
    np.savez(tmp_path / "a.npz", inputs=np.zeros((20, 12, 12)), targets=targets)
    np.savez(tmp_path / "b.npz", inputs=np.zeros((20, 50, 3)), targets=targets)
    kinds = [guess(tmp_path / f"{name}.npz", tmp_path, Hints()).source["kind"] for name in "ab"]
    assert kinds == ["image", "series"]


def test_arrays_of_other_names_are_found_and_bytes_are_scaled(tmp_path: Path):
    images = np.full((20, 12, 12, 3), 200, dtype=np.uint8)
    np.savez(tmp_path / "signs.npz", X=images, y=np.arange(20) % 2, subjects=np.arange(20) % 5)
    found = guess(tmp_path / "signs.npz", tmp_path, Hints())
    said = {"inputs": "X", "targets": "y", "groups": "subjects", "channels": "last", "scale": 255}
    assert dict(found.source) == {"name": "npz", "path": "signs.npz", **said}
    assert found.by == "group"
    assert read(found, tmp_path)[1].schema.shape == (3, 12, 12)


@pytest.mark.parametrize(("count", "by"), [(1, "row"), (2, "row"), (3, "group")])
def test_groups_that_are_too_few_to_hold_out_are_told_of(tmp_path: Path, count: int, by: str):
    inputs, groups = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % count
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=np.arange(30) % 2, patients=groups)
    found = guess(tmp_path / "a.npz", tmp_path, Hints())
    assert found.by == by
    assert any(f"'patients' names {count} group" in note for note in found.notes) == (by == "row")


def test_arrays_that_the_user_names_are_taken(tmp_path: Path):
    rows, codes = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60)
    parts = {"targets": codes % 2, "other": codes % 3, "who": codes % 6, "day": codes}
    np.savez(tmp_path / "a.npz", inputs=rows, **parts)

    def look(**said: Any) -> Guess:
        return guess(tmp_path / "a.npz", tmp_path, Hints(**said))

    assert look().by == "row"
    found = look(group="who", target="other")
    assert (found.by, found.source["groups"], found.source["targets"]) == ("group", "who", "other")
    assert (look(time="day").by, look(time="day").source["time"]) == ("time", "day")
    with pytest.raises(
        UsageError, match=r"--group, a.npz: there is no array 'whom'. Did you .*who"
    ):
        look(group="whom")
    with pytest.raises(UsageError, match="--drop is about the columns of a table"):
        look(drop=("who",))


def test_columns_of_a_folder_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="--group is about the columns of a table"):
        guess(tmp_path, tmp_path, Hints(group="patient"))


@pytest.mark.parametrize("called", ["classes", "class_names", "target_names", "label_names"])
def test_names_that_an_npz_holds_for_its_codes_are_the_classes(tmp_path: Path, called: str):
    inputs, targets = np.zeros((20, 3)), np.arange(20) % 2

    def classes(**arrays: Any) -> Any:
        np.savez(tmp_path / "a.npz", inputs=inputs, **arrays)
        return guess(tmp_path / "a.npz", tmp_path, Hints()).source.get("classes")

    assert classes(**{called: np.array(["well", "sick"])}, targets=targets) == ["well", "sick"]
    several = np.stack([targets, 1 - targets], 1)
    assert classes(targets=several, **{called: np.array(["a", "b"])}) == ["a", "b"]
    for names in (["well"], ["well", "well"], ["well", ""], ["well", "sick", "dead"]):
        assert classes(**{called: np.array(names)}, targets=targets) is None
    assert classes(targets=np.array(["u", "v"])[targets], **{called: np.array(["a", "b"])}) is None


def test_an_npz_without_evident_inputs_lists_its_arrays(tmp_path: Path):
    np.savez(tmp_path / "a.npz", alpha=np.zeros(3), beta=np.zeros(3))
    with pytest.raises(SourceError, match="alpha, beta"):
        guess(tmp_path / "a.npz", tmp_path, Hints())


def test_a_file_outside_the_project_keeps_its_whole_path(tmp_path: Path):
    path, root = files.gas(tmp_path), tmp_path / "project"
    root.mkdir()
    assert guess(path, root, Hints()).source["path"] == str(path.resolve())


def test_a_target_that_is_not_evident_is_asked_for_with_candidates(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "".join(f"{i},{i % 2},{i % 3}\n" for i in range(60)))
    with pytest.raises(UsageError, match=r"candidates: c, b") as caught:
        guess(path, tmp_path, Hints())
    assert "--target" in str(caught.value)
    assert guess(path, tmp_path, Hints(target="b")).source["target"] == "b"


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        (Hints(target="readmited"), "'readmitted'"),
        (Hints(group="patient"), "'patient_nbr'"),
        (Hints(drop=("note",)), "'notes'"),
        (Hints(kind="series"), "--group"),
    ],
)
def test_a_wish_that_the_file_cannot_meet_is_refused_with_the_nearest(
    tmp_path: Path, hints: Hints, said: str
):
    path = files.gas(tmp_path) if hints.kind == "series" else files.hospital(tmp_path, 60)
    with pytest.raises(UsageError, match=said):
        guess(path, tmp_path, hints)


@pytest.mark.parametrize(
    ("data", "said"), [(b"\x80\x04\x95", "a pickle"), (b"\x93NUMPY\x01", "single array")]
)
def test_what_no_source_reads_is_named(tmp_path: Path, data: bytes, said: str):
    (tmp_path / "x").write_bytes(data + b"\0" * 20)
    with pytest.raises(SourceError, match=said):
        guess(tmp_path / "x", tmp_path, Hints())


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SourceError, match="no file or folder"):
        guess(tmp_path / "none.csv", tmp_path, Hints())


@pytest.mark.parametrize(
    ("name", "unit"),
    [("weight_kg", "kg"), ("age (years)", "years"), ("Hb [g/dL]", "g/dL"), ("hours_per_week", "")],
)
def test_a_columns_name_may_say_its_unit(name: str, unit: str):
    assert unit_of(name) == unit
