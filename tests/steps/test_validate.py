import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse import environment
from stillhouse.data import prepared
from stillhouse.errors import DataRefused, SettingsError
from stillhouse.steps import prepare, validate
from stillhouse.steps.step import Job
from stillhouse.workspace import StepFiles, Workspace

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::stillhouse.data.notices.DataNotice",
)


def prepared_digits(root: Path) -> None:
    section = {"source": {"name": "digits"}, "labelled": 100, "unlabelled": 100}
    prepare.run(
        Job(StepFiles(Workspace(root), "prepare"), {"prepare": section}, environment.place(root))
    )
    (root / "artifacts").mkdir()
    (root / ".stillhouse/new/prepare").rename(root / "artifacts/prepare")


def job(root: Path, section: dict[str, Any]) -> Job:
    return Job(
        StepFiles(Workspace(root), "validate"), {"validate": section}, environment.place(root)
    )


def test_digits_pass_and_spoilt_digits_are_refused_with_their_rows(tmp_path: Path) -> None:
    prepared_digits(tmp_path)
    metrics = validate.run(job(tmp_path, {}))
    assert metrics["data/expectations"] >= 8
    assert metrics["data/failed_expectations"] == 0
    verdict = json.loads((tmp_path / ".stillhouse/new/validate/verdict.json").read_text())
    assert verdict["passed"]
    assert verdict["leakage"] == {"rows": [], "groups": [], "time": []}

    files = StepFiles(Workspace(tmp_path), "prepare")
    train = prepared.load(StepFiles(Workspace(tmp_path), "validate"), "train")
    inputs = train.inputs.clone()
    inputs[5, 0, 2, 2] = np.nan
    spoilt = prepared.tensors(replace(train, inputs=inputs))
    files.write_tensors(
        "prepare/train.safetensors", {**spoilt, "picked": (train.targets >= 0).byte()}
    )
    (tmp_path / ".stillhouse/new/prepare/train.safetensors").replace(
        tmp_path / "artifacts/prepare/train.safetensors"
    )
    with pytest.raises(
        DataRefused, match=f"column 'n_bad', row {train.rows[5]}: expect_column_values_to_be_in_set"
    ) as caught:
        validate.run(job(tmp_path, {}))
    assert caught.value.exit_code == 2
    verdict = json.loads((tmp_path / ".stillhouse/new/validate/verdict.json").read_text())
    assert not verdict["passed"]
    assert [e["split"] for e in verdict["expectations"] if not e["passed"]] == ["train"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"range": {}}, "Did you mean 'ranges'"),
        ({"ranges": {"x": [2, 1]}}, "is not a range"),
        ({"missing": {"all": 2}}, "validate.missing.all"),
        ({"duplicates": {"at_most": 5}}, "a share is at most 1"),
        ({"duplicates": {"at_mots": 0.5}}, "Did you mean 'at_most'"),
        ({"class_share": {}}, "bounds nothing"),
        ({"rows_a_class": {"at_least": 2, "severity": "fatal"}}, "severity"),
        (
            {"expectations": [{"type": "expect_column_values_to_be_betwen", "column": "x"}]},
            "Did you mean 'expect_column_values_to_be_between'",
        ),
        ({"expectations": [{"column": "x"}]}, "needs a type"),
        (
            {"expectations": [{"type": "expect_column_to_exist", "severity": "bad"}]},
            "is no severity",
        ),
        ({"leakage": {"choice": ["auto", "info"]}}, "only under distill"),
    ],
)
def test_settings_are_checked_at_load(section: dict[str, Any], said: str) -> None:
    validate.check(
        {
            "validate": {
                "ranges": {"x": [1, 2]},
                "missing": {"all": 0.2},
                "expectations": [{"type": "expect_column_to_exist", "column": "x"}],
            }
        }
    )
    with pytest.raises(SettingsError, match=said.replace(".", r"\.")):
        validate.check({"validate": section})
