import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import DataRefused, PluginNotFound, SettingsError
from stillhouse.validation import suite_file
from stillhouse.validation.expect import expect
from stillhouse.validation.settings import Settings, check
from stillhouse.validation.verdict import Finding, Verdict

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

COLUMNS = (
    Feature("size in cm", missing=True),
    Feature("age", "integer", low=0),
    Feature("count", "integer", missing=True),
    Feature("flag", "binary"),
    Feature("ort; Größe {x}", "category", categories=("a", "b$c"), missing=True),
)
TABLE = Schema("table", (5,), ("no", "yes"), COLUMNS)


def rows(count: int, first: int, seed: int) -> Dataset:
    g = torch.Generator().manual_seed(seed)
    number = torch.arange(count)
    inputs = torch.stack(
        [
            torch.randn(count, generator=g),
            number + 20.0,
            (number + seed) % 7.0,
            number % 2.0,
            number // 2 % 2.0,
        ],
        1,
    )
    inputs[0, 0] = inputs[1, 4] = inputs[2, 2] = torch.nan
    return Dataset(inputs, torch.arange(count) % 2, TABLE, torch.arange(first, first + count))


def splits() -> dict[str, Dataset]:
    return {"train": rows(40, 0, 0), "val": rows(20, 100, 1), "test": rows(20, 200, 2)}


def images() -> dict[str, Dataset]:
    schema = Schema("image", (1, 4, 4), ("no", "yes"), (Feature("ink", low=0.0, high=1.0),))
    sizes = {"train": (20, 0), "val": (10, 100), "test": (10, 200)}
    return {
        name: Dataset(torch.rand(n, 1, 4, 4), torch.arange(n) % 2, schema, torch.arange(at, at + n))
        for name, (n, at) in sizes.items()
    }


def judge(data: dict[str, Dataset], by: str = "row", **section: Any) -> Verdict:
    return expect(data, config.build(Settings, section, where="validate"), by=by)


def failed(verdict: Verdict) -> list[Finding]:
    return list(verdict.failed)


def change(
    data: dict[str, Dataset], split: str, row: int, column: int, value: float
) -> dict[str, Dataset]:
    inputs = data[split].inputs.clone()
    inputs[row].view(-1)[column] = value
    return {**data, split: replace(data[split], inputs=inputs)}


def test_good_tables_images_and_series_pass_everything() -> None:
    assert failed(judge(splits())) == []
    assert failed(judge(images())) == []
    schema = Schema("series", (6, 2), ("no", "yes"), (Feature("u"), Feature("v", low=-9, high=9)))
    series = {
        name: Dataset(torch.randn(len(d), 6, 2), d.targets, schema, d.rows)
        for name, d in splits().items()
    }
    assert failed(judge(series)) == []


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        (0, float("inf"), "expect_column_values_to_be_between"),
        (1, float("nan"), "expect_column_values_to_not_be_null"),
        (1, -3.0, "expect_column_values_to_be_between"),
        (1, 3.5, "expect_column_values_to_be_in_type_list"),
        (2, 3.5, "expect_column_values_to_be_in_type_list"),
        (3, 2.0, "expect_column_values_to_be_in_set"),
        (4, 2.0, "expect_column_values_to_be_in_set"),
    ],
)
def test_one_bad_cell_is_found_and_its_row_named(
    column: int, value: float, expectation: str
) -> None:
    verdict = judge(change(splits(), "val", 7, column, value))
    [finding] = [f for f in failed(verdict) if f.severity == "critical"]
    assert (finding.column, finding.expectation, finding.split) == (
        COLUMNS[column].name,
        expectation,
        "val",
    )
    if finding.rows or "type" not in expectation:
        assert finding.rows == (107,)
    with pytest.raises(DataRefused, match=expectation):
        verdict.raise_if_refused()


@pytest.mark.parametrize(
    ("value", "column"),
    [(float("nan"), "n_bad"), (float("inf"), "n_bad"), (1.5, "n_outside"), (-0.1, "n_outside")],
)
def test_one_bad_pixel_is_found_and_its_row_named(value: float, column: str) -> None:
    findings = failed(judge(change(images(), "test", 3, 5, value)))
    assert [(f.column, f.rows, f.severity) for f in findings] == [(column, (203,), "critical")]


def test_a_blank_image_and_a_constant_column_are_warnings() -> None:
    data = images()
    data["val"].inputs[2] = 0.5
    verdict = judge(data)
    assert verdict.passed
    assert [(f.column, f.rows, f.severity) for f in failed(verdict)] == [
        ("std", (102,), "warning"),
        ("(usual_rows)", (102,), "warning"),
    ]
    flat = splits()
    for dataset in flat.values():
        dataset.inputs[:, 3] = 1
    assert [(f.column, f.severity) for f in failed(judge(flat))] == [("flag", "warning")]


def test_a_row_in_two_splits_is_leakage() -> None:
    data = splits()
    data["test"].inputs[4] = data["train"].inputs[9]
    verdict = judge(data)
    assert verdict.leakage["rows"] == [9, 204]
    assert [f.severity for f in failed(verdict) if f.column == "(splits of the row)"] == [
        "critical"
    ]
    assert judge(data, leakage="warning").passed


def test_a_group_in_two_splits_and_a_row_from_the_future_are_leakage() -> None:
    def with_more(late: float, group: int) -> dict[str, Dataset]:
        data = splits()
        times = {
            name: torch.arange(len(d)).double() + at
            for (name, d), at in zip(data.items(), (0, 100, 200), strict=True)
        }
        times["train"][5] = late
        groups = {
            name: torch.full((len(d),), at)
            for (name, d), at in zip(data.items(), (1, 2, group), strict=True)
        }
        return {name: replace(d, time=times[name], groups=groups[name]) for name, d in data.items()}

    assert failed(judge(with_more(5, 3), by="time")) == []
    assert judge(with_more(150, 3), by="time").leakage["time"] == [5]
    assert not judge(with_more(150, 3), by="time").passed
    assert not judge(with_more(5, 2), by="group").passed
    assert judge(with_more(5, 2), by="row").passed


def test_rows_a_class_and_class_share_speak_of_labelled_rows() -> None:
    data = splits()
    for name, dataset in data.items():
        data[name] = replace(
            dataset, targets=torch.where(torch.arange(len(dataset)) > 1, 0, dataset.targets)
        )
    assert judge(data).passed
    [finding] = failed(judge(data, rows_a_class={"at_least": 4}))
    assert (finding.column, finding.severity) == ("(rows of the class)", "critical")
    assert "yes" in finding.observed
    [finding] = failed(judge(data, class_share={"at_least": 0.1, "severity": "info"}))
    assert (finding.severity, finding.passed) == ("info", False)


def test_duplicates_are_a_warning_until_the_settings_say_otherwise() -> None:
    data = splits()
    data["train"].inputs[10:20] = data["train"].inputs[9]
    data["train"].targets[9:20] = 1
    assert [(f.column, f.severity, f.count) for f in failed(judge(data))] == [
        ("(equal rows)", "warning", 11)
    ]
    assert not judge(data, duplicates={"at_most": 0.1}).passed
    assert failed(judge(data, duplicates={"at_most": 0.2})) == []


def test_ranges_and_missing_of_the_settings_are_critical() -> None:
    assert judge(splits(), ranges={"age": [0, 59]}, missing={"all": 0.1, "count": 0.05}).passed
    [finding] = failed(judge(splits(), ranges={"age": [0, 57]}))
    assert finding.rows == (38, 39)
    assert not judge(splits(), missing={"count": 0.01}).passed
    assert not judge(splits(), missing={"all": 0.01}).passed


def test_any_expectation_may_be_asked_for_by_name() -> None:
    mean = {
        "type": "expect_column_mean_to_be_between",
        "column": "age",
        "min_value": 30,
        "max_value": 40,
    }
    assert failed(judge(splits(), expectations=[mean])) == []
    [finding] = failed(
        judge(splits(), expectations=[{**mean, "min_value": 39, "severity": "warning"}])
    )
    assert (finding.column, finding.severity) == ("age", "warning")
    [finding] = failed(
        judge(
            images(),
            expectations=[
                {"type": "expect_column_max_to_be_between", "column": "mean", "max_value": 0.1}
            ],
        )
    )
    assert finding.column == "mean"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"type": "expect_column_mean_to_be_between", "column": "agee", "min_value": 30},
            "no column 'agee'.*'age'",
        ),
        (
            {"type": "expect_column_mean_to_be_between", "column": "age", "minimum": 30},
            "does not take",
        ),
        (
            {
                "type": "expect_column_mean_to_be_between",
                "column": "ort; Größe {x}",
                "min_value": 30,
            },
            "could not be computed",
        ),
    ],
)
def test_an_expectation_that_does_not_fit_is_a_settings_error(
    entry: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        judge(splits(), expectations=[entry])


def test_a_wide_table_is_judged_by_statistics_and_by_the_columns_that_are_named() -> None:
    schema = Schema("table", (300,), ("no", "yes"), tuple(Feature(f"x{i}") for i in range(300)))
    data = {
        name: Dataset(torch.randn(len(d), 300), d.targets, schema, d.rows)
        for name, d in splits().items()
    }
    assert failed(judge(data, ranges={"x7": [-9, 9]})) == []
    assert [(f.column, f.rows) for f in failed(judge(change(data, "val", 3, 7, float("nan"))))] == [
        ("n_bad", (103,))
    ]
    assert [
        (f.column, f.rows)
        for f in failed(judge(change(data, "val", 3, 7, 50.0), ranges={"x7": [-9, 9]}))
    ] == [("x7", (103,))]


def test_a_refusal_names_column_rows_and_expectation_and_counts_the_rest() -> None:
    data = change(change(splits(), "val", 7, 1, -3.0), "test", 1, 3, 5.0)
    for row in range(8):
        data = change(data, "train", row, 1, -1.0)
    said = (
        r"column 'age', rows 0, 1, 2, 3, 4 and 4 more: expect_column_values_to_be_between "
        r"\(min_value 0.*1 more failed: column 'flag'"
    )
    with pytest.raises(DataRefused, match=said):
        judge(data).raise_if_refused()


def suite_of_gx(path: Path) -> bytes:
    """What Great Expectations itself writes for two expectations."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    gx.get_context(mode="ephemeral")
    suite = gx.ExpectationSuite(name="mine")
    suite.add_expectation(gxe.ExpectColumnMeanToBeBetween(column="age", min_value=30, max_value=40))
    suite.add_expectation(
        gxe.ExpectColumnValuesToBeBetween(
            column="age", max_value=57, mostly=0.9, severity="warning"
        )
    )
    suite.add_expectation(
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="age", column_B="count", ignore_row_if="either_value_is_missing"
        )
    )
    path.write_text(json.dumps(suite.to_json_dict()))
    return path.read_bytes()


def test_a_suite_that_great_expectations_wrote_is_asked_too(tmp_path: Path) -> None:
    written = suite_file.entries(suite_of_gx(tmp_path / "mine.json"), "mine.json")
    assert [entry["type"] for entry in written] == [
        "expect_column_mean_to_be_between",
        "expect_column_values_to_be_between",
        "expect_column_pair_values_a_to_be_greater_than_b",
    ]
    assert [entry.get("severity", "critical") for entry in written] == [
        "critical",
        "warning",
        "critical",
    ]
    plain = config.build(Settings, {}, where="validate")
    assert failed(expect(splits(), plain, by="row", written=written)) == []
    old = change(splits(), "val", 7, 1, 900.0)
    found = failed(expect(old, plain, by="row", written=written))
    assert [(f.column, f.severity) for f in found] == [("age", "critical")]
    low = failed(expect(change(splits(), "val", 7, 2, 90.0), plain, by="row", written=written))
    assert [(f.expectation, f.rows) for f in low] == [
        ("expect_column_pair_values_a_to_be_greater_than_b", (107,))
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "mine.json: the file is not JSON"),
        ("[" * 100_000, "mine.json: the file is not JSON"),
        ("{}", "no list of expectations"),
        ('{"expectations": []}', "no list of expectations"),
        ('{"expectations": [7]}', "mine.json, expectation 1: it is no expectation"),
        (
            '{"expectations": [{"type": "expect_column_mean_to_be_betwen", "kwargs": {}}]}',
            "Did you mean 'expect_column_mean_to_be_between'",
        ),
        (
            '{"expectations": [{"expectation_type": "expect_column_to_exist", "severity": "grave"}]}',
            "'grave' is no severity",
        ),
    ],
)
def test_a_file_that_is_no_suite_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        suite_file.entries(text.encode(), "mine.json")
    good = '{"expectations": [{"expectation_type": "expect_column_to_exist", "kwargs": {"column": "age"}}]}'
    assert suite_file.entries(good.encode(), "mine.json") == [
        {"type": "expect_column_to_exist", "column": "age"}
    ]


def test_a_class_whose_share_shifts_between_splits_is_named() -> None:
    data = {
        name: replace(
            d,
            inputs=torch.randn(400, 5),
            targets=torch.arange(400) % 2,
            rows=torch.arange(400) + at,
        )
        for at, (name, d) in zip((0, 400, 800), splits().items(), strict=True)
    }
    for d in data.values():
        d.inputs[:, 1:] = d.inputs[:, 1:].abs().round() % 2
    shift = [f for f in judge(data).findings if f.expectation == "label_shift"]
    assert [f.passed for f in shift] == [True]
    data["test"] = replace(data["test"], targets=(torch.arange(400) % 10 == 0).long())
    [found] = [f for f in failed(judge(data)) if f.expectation == "label_shift"]
    assert (found.severity, found.count) == ("warning", 2)
    assert found.sentence().startswith(
        "label_shift: 2 of 2 classes unexpected: no (50.0 % of train, "
    )


def test_a_plugin_replaces_its_default_settings_and_its_rows_have_names() -> None:
    data = images()
    data["test"].inputs[3] = 0.8 * data["train"].inputs[4] + 0.1
    [found] = failed(judge(data))
    assert (found.expectation, found.rows, found.severity) == ("near_duplicates", (203,), "warning")
    assert "like train row 4" in found.observed
    strict = {"name": "near_duplicates", "severity": "critical"}
    assert not judge(data, expectations=[strict]).passed
    assert judge(data, expectations=[{**strict, "mostly": 0.9}]).passed
    settings = config.build(Settings, {"expectations": [strict]}, where="validate")
    named = expect(data, settings, by="row", keys={203: "ward 3/scan 203.png"})
    with pytest.raises(
        DataRefused, match=r"near_duplicates, row ward 3/scan 203\.png: 1 of 40 rows"
    ):
        named.raise_if_refused()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "near_duplicate"}, "Did you mean 'near_duplicates'"),
        ({"name": "near_duplicates", "similarty": 1}, "Did you mean 'similarity'"),
        ({"name": "near_duplicates", "similarity": 2.0}, "similarity"),
        ({"name": "near_duplicates", "mostly": 2}, "mostly is 2, not a share"),
        ({"name": "near_duplicates", "severity": "grave"}, "no severity"),
        ({"column": "age"}, "needs a type or a name"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_before_data_are_read(
    entry: dict[str, Any], said: str
) -> None:
    good = {"name": "near_duplicates", "similarity": 0.9, "mostly": 0.5, "severity": "info"}
    check(config.build(Settings, {"expectations": [good]}, where="validate"))
    with pytest.raises((SettingsError, PluginNotFound), match=said):
        check(config.build(Settings, {"expectations": [entry]}, where="validate"))


def test_an_expectation_for_another_kind_or_named_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="judges image, series rows, not table"):
        judge(splits(), expectations=[{"name": "usual_rows"}])
    with pytest.raises(SettingsError, match="named twice"):
        judge(splits(), expectations=[{"name": "labels_agree"}, {"name": "labels_agree"}])
    assert judge(images(), expectations=[{"name": "usual_rows"}]).passed
