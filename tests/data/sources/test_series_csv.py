from pathlib import Path

import pytest
import torch

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.notices import WindowsLeftOut
from stillhouse.errors import SettingsError, SourceError

HEADER = ["rec", "t", "x", "y", "act", "who"]


def lines(recordings: int = 4, length: int = 8) -> list[list[str]]:
    return [
        [f"r{rec}", str(at), f"{rec}.{at}", str(-at), "walk" if rec % 2 else "sit", f"p{rec // 2}"]
        for rec in range(recordings)
        for at in range(length)
    ]


def read(
    folder: Path,
    rows: list[list[str]] | None = None,
    header: list[str] = HEADER,
    **settings: object,
) -> Dataset:
    text = "\n".join(",".join(row) for row in [header, *(rows or lines())])
    (folder / "rows.csv").write_text(text)
    spec = {
        "name": "series_csv",
        "path": "rows.csv",
        "recording": "rec",
        "target": "act",
        "window": 4,
        "time": "t",
        "drop": ["who"],
        **settings,
    }
    made: Dataset = config.plugin("sources", spec, where="prepare.source").read(folder)
    return made


def changed(line: int, column: str, cell: str) -> list[list[str]]:
    """Change a cell of a line, counted as in the file, the header being line 1."""
    rows = lines()
    rows[line - 2][HEADER.index(column)] = cell
    return rows


def test_recordings_become_windows_of_their_channels(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.inputs.shape == (8, 4, 2)
    assert [f.name for f in found.schema.features] == ["x", "y"]
    torch.testing.assert_close(
        found.inputs[3], torch.tensor([[1.4, -4], [1.5, -5], [1.6, -6], [1.7, -7]])
    )
    assert found.classes == ("sit", "walk")
    assert found.targets.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert found.groups is not None
    assert len(found.groups.unique()) == 4
    assert found.time is not None
    assert found.time.tolist() == [3, 7] * 4


def test_windows_may_overlap_and_leave_a_rest(tmp_path: Path) -> None:
    assert len(read(tmp_path, stride=1)) == 4 * 5
    assert len(read(tmp_path, stride=3)) == 4 * 2
    assert len(read(tmp_path, window=5)) == 4


def test_recordings_may_take_turns_in_the_file(tmp_path: Path) -> None:
    rows = sorted(lines(), key=lambda row: int(row[1]))
    assert read(tmp_path, rows).fingerprint() == read(tmp_path).fingerprint()


def test_a_group_may_hold_several_recordings(tmp_path: Path) -> None:
    found = read(tmp_path, group="who", drop=[])
    assert found.groups is not None
    assert len(found.groups.unique()) == 2
    assert found.schema.shape == (4, 2)


def test_channels_and_units_may_be_named(tmp_path: Path) -> None:
    found = read(tmp_path, channels=["y", "x"], units={"x": "m/s²"})
    assert [(f.name, f.unit) for f in found.schema.features] == [("y", ""), ("x", "m/s²")]
    assert torch.equal(found.inputs, read(tmp_path).inputs.flip(2))


def test_a_class_that_changes_inside_a_window_is_named_by_most_or_by_the_last(
    tmp_path: Path,
) -> None:
    rows = changed(5, "act", "walk")
    assert read(tmp_path, rows).targets[0] == 0
    assert read(tmp_path, rows, naming="last").targets[0] == 1


def test_lines_without_a_target_are_unlabelled(tmp_path: Path) -> None:
    rows = lines()
    for row in rows[:4]:
        row[4] = ""
    assert read(tmp_path, rows).targets.tolist() == [-1, 0, 1, 1, 0, 0, 1, 1]


def test_dates_may_be_the_time(tmp_path: Path) -> None:
    rows = [[row[0], f"2026-01-01T00:00:0{row[1]}", *row[2:]] for row in lines()]
    found = read(tmp_path, rows)
    assert found.time is not None
    assert found.time.diff()[0] == 4


def test_windows_with_a_gap_are_refused_or_left_out_aloud(tmp_path: Path) -> None:
    rows = changed(7, "y", "NA")
    with pytest.raises(
        SourceError, match=r"rows\.csv, column 'y': line 7 has no value .1 such lines.*gaps: skip"
    ):
        read(tmp_path, rows)
    with pytest.warns(
        WindowsLeftOut, match="1 windows have a missing value and 0 of 4 recordings are shorter"
    ):
        assert len(read(tmp_path, rows, gaps="skip")) == 7


def test_recordings_shorter_than_a_window_are_left_out_aloud(tmp_path: Path) -> None:
    with pytest.warns(WindowsLeftOut, match="1 of 4 recordings are shorter"):
        assert len(read(tmp_path, lines()[6:])) == 6


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (
            changed(12, "t", "0.5"),
            {},
            "column 't': line 12 says 0.5 after 1: time runs backwards in the recording 'r1'",
        ),
        (changed(12, "t", ""), {}, "column 't': line 12 has no time"),
        (changed(12, "t", "noon"), {}, "line 12 holds 'noon', neither a number nor an ISO date"),
        (changed(12, "rec", ""), {}, "column 'rec': line 12 has no recording"),
        (changed(12, "x", "fast"), {}, "column 'x': line 12 holds 'fast', not a number"),
        (changed(12, "x", "inf"), {}, "line 12 holds 'inf', which is infinite"),
        (
            changed(12, "who", "p9"),
            {"group": "who", "drop": []},
            "line 12 names 'p9', the recording 'r1' began with 'p0'",
        ),
        (lines(), {"window": 9}, "no recording has 9 lines; the longest has 8"),
        (
            lines(),
            {"target": "rec", "recording": "act"},
            "line 18 says 0 after 7: time runs backwards in the recording 'sit'",
        ),
        ([row for row in lines() if row[4] == "sit"], {}, "only one class, 'sit'"),
        (lines(), {"recording": "record"}, "no column 'record' for the recording"),
        (lines(), {"drop": ["x", "y", "who"]}, "no column is left"),
        (
            [[*row[:2], "", *row[3:]] for row in lines()],
            {"gaps": "skip"},
            "every window has a missing value",
        ),
    ],
)
def test_bad_lines_are_refused_by_their_number(
    tmp_path: Path, rows: list[list[str]], settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(tmp_path, rows, **settings)
    assert "rows.csv" in str(caught.value)
    assert len(read(tmp_path)) == 8


def test_times_may_stand_still_and_each_recording_has_its_own_clock(tmp_path: Path) -> None:
    assert len(read(tmp_path, changed(12, "t", "1"))) == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": ["x", "x"]}, "name one twice"),
        ({"channels": ["z"]}, "no column 'z'"),
        ({"channels": ["act"]}, "the column 'act' is no channel"),
        ({"drop": ["z"]}, "no column 'z'"),
        ({"window": 0}, "window"),
        ({"stride": 0}, "stride"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        read(tmp_path, **settings)
