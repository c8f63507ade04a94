import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse import config, environment
from stillhouse.data import prepared
from stillhouse.data.notices import AllTaken, RowsSetAside
from stillhouse.errors import DataError, PluginNotFound, SettingsError, SourceError
from stillhouse.steps import prepare
from stillhouse.steps.step import Job
from stillhouse.workspace import StepFiles, Workspace, sha256

DIGITS = {
    "source": {"name": "digits"},
    "split": {"by": "row", "val": 0.1, "test": 0.3},
    "labelled": 100,
    "unlabelled": 100,
}
NPZ = {"source": {"name": "npz", "path": "rows.npz"}, "labelled": 10, "unlabelled": 10}


def job(root: Path, section: dict[str, Any]) -> Job:
    return Job(StepFiles(Workspace(root), "prepare"), {"prepare": section}, environment.place(root))


def read(root: Path) -> StepFiles:
    """The step's new files, as if they were in place."""
    (root / "artifacts").mkdir(exist_ok=True)
    (root / ".stillhouse/new/prepare").rename(root / "artifacts/prepare")
    return StepFiles(Workspace(root), "other")


def table(root: Path, count: int = 300, **more: Any) -> None:
    inputs = np.random.default_rng(0).normal(size=(count, 3))
    np.savez(root / "rows.npz", inputs=inputs, targets=np.arange(count) % 3, **more)


def test_digits_are_divided_picked_and_withheld(tmp_path: Path) -> None:
    metrics = prepare.run(job(tmp_path, DIGITS))
    files = read(tmp_path)
    train, picked, withheld = (
        prepared.load(files, "train"),
        prepared.picked(files),
        prepared.withheld(files),
    )
    assert metrics["data/rows"] == 1797
    assert len(train) + len(prepared.load(files, "val")) + len(prepared.load(files, "test")) == 1797
    assert len(picked) == 200
    assert len(picked.labelled) == 100
    assert set(picked.labelled.targets.tolist()) == set(range(10))
    assert (withheld.targets >= 0).all()
    shown = train.targets >= 0
    assert shown.sum() == 100
    assert torch.equal(train.targets[shown], withheld.targets[shown])
    assert prepared.schema(files).kind == "image"
    about = files.read_json("prepare/data.json")
    assert about["rows"] == {
        "train": len(train),
        "val": 161,
        "test": 574,
        "labelled": 100,
        "unlabelled": 100,
    }
    assert about["warnings"] == []
    assert len(about["fingerprint"]) == 64
    assert {p.name for p in (tmp_path / "artifacts/prepare").iterdir()} == set(prepare.WRITES)


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        table(tmp_path / name, groups=np.arange(300) // 4, time=np.arange(300))
        prepare.run(job(tmp_path / name, NPZ))
        digests.append(sha256(tmp_path / name / ".stillhouse/new/prepare"))
    assert digests[0] == digests[1]


def test_groups_and_time_are_kept(tmp_path: Path) -> None:
    table(tmp_path, groups=np.arange(300) // 2, time=np.arange(300))
    prepare.run(job(tmp_path, {**NPZ, "split": {"by": "group"}}))
    files = read(tmp_path)
    sets = [set(prepared.load(files, name).groups.tolist()) for name in ("train", "val", "test")]  # type: ignore[arg-type,union-attr]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert prepared.picked(files).time is not None


def test_more_asked_than_there_are_is_told_twice(tmp_path: Path) -> None:
    table(tmp_path)
    with pytest.warns(AllTaken, match="all are taken"):
        prepare.run(job(tmp_path, {**NPZ, "labelled": 100_000}))
    found = json.loads((tmp_path / ".stillhouse/new/prepare/data.json").read_text())
    assert found["rows"]["labelled"] == found["rows"]["train"]
    assert ["labelled" in w or "unlabelled" in w for w in found["warnings"]] == [True, True]


def test_source_errors_come_before_the_warning_that_all_are_taken(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", inputs=np.eye(8), targets=np.zeros(8, int))
    with (
        warnings.catch_warnings(record=True) as caught,
        pytest.raises(SourceError, match="only one class"),
    ):
        prepare.run(job(tmp_path, {**NPZ, "labelled": 100_000}))
    assert caught == []


def test_unlabelled_rows_that_show_test_rows_are_set_aside(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(300, 3))
    np.savez(
        tmp_path / "rows.npz",
        inputs=np.concatenate([inputs, inputs]),
        targets=np.r_[np.arange(300) % 3, np.full(300, -1)],
    )
    with pytest.warns(RowsSetAside):
        prepare.run(job(tmp_path, NPZ))
    files = read(tmp_path)
    assert len(prepared.load(files, "train")) == 2 * (
        300 - len(prepared.load(files, "val")) - len(prepared.load(files, "test"))
    )


def test_rows_that_are_too_few_for_a_split_are_refused(tmp_path: Path) -> None:
    table(tmp_path, count=300)
    assert prepare.run(job(tmp_path, NPZ))
    table(tmp_path, count=6)
    with pytest.raises(DataError, match=r"falls into|only one class"):
        prepare.run(job(tmp_path, {**NPZ, "labelled": None}))


def test_another_kind_than_asked_is_refused(tmp_path: Path) -> None:
    table(tmp_path)
    assert prepare.run(job(tmp_path, {**NPZ, "kind": "table"}))
    with pytest.raises(DataError, match="gives table rows, not image"):
        prepare.run(job(tmp_path, {**NPZ, "kind": "image"}))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"labeled": 3}, SettingsError, "Did you mean 'labelled'"),
        ({"labelled": -1}, SettingsError, "prepare.labelled"),
        ({"labelled": "many"}, SettingsError, "prepare.labelled"),
        ({"kind": "imag"}, SettingsError, "prepare.kind"),
        ({"split": {"by": "rows"}}, SettingsError, "prepare.split.by"),
        ({"split": {"val": 0.5, "test": 0.6}}, SettingsError, "below 1"),
        ({"split": {"val": 0}}, SettingsError, "prepare.split.val"),
        ({"source": {"name": "digit"}}, PluginNotFound, "Did you mean 'digits'"),
        ({"source": {"name": "csv", "path": "a.csv"}}, SettingsError, "prepare.source.target"),
        (
            {"source": {"name": "npz", "path": "a.npz", "kind": "picture"}},
            SettingsError,
            "prepare.source.kind",
        ),
        ({"labelled": {"int": [10, 20]}}, SettingsError, "only under distill"),
    ],
)
def test_settings_are_checked_at_load(
    change: dict[str, Any], error: type[Exception], said: str
) -> None:
    prepare.check({"prepare": DIGITS})
    with pytest.raises(error, match=said.replace(".", r"\.")):
        prepare.check({"prepare": {**DIGITS, **change}})


def test_the_files_that_the_source_names_are_known() -> None:
    assert prepare.sources({"prepare": NPZ}) == {"path": "rows.npz"}
    assert prepare.sources({"prepare": DIGITS}) == {}


def test_a_source_of_ten_lines_is_held_to_its_own_schema(tmp_path: Path) -> None:
    from stillhouse import plugins

    text = """
import torch
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.source import Source

class Blobs(Source):
    def __init__(self, *, count: int = 200, high: int = 1) -> None:
        self.count, self.high = count, high

    def read(self, root):
        targets = torch.arange(self.count) % 2
        inputs = torch.randn(self.count, 2) + targets[:, None]
        return Dataset(inputs, targets * self.high, Schema("table", (2,), ("a", "b"), (Feature("x"), Feature("y"))), torch.arange(self.count))
"""
    (tmp_path / "mine.py").write_text(text)
    plugins.use(["mine.py"], tmp_path)
    try:
        section = {"source": {"name": "blobs"}, "labelled": 10}
        prepare.check({"prepare": section})
        assert prepare.run(job(tmp_path, section))["data/rows"] == 200
        with pytest.raises(SourceError, match="targets 0 to 2 for 2 classes"):
            prepare.run(job(tmp_path, {**section, "source": {"name": "blobs", "high": 2}}))
    finally:
        plugins.use([], tmp_path)
    assert "blobs" not in plugins.available("sources")
    assert config.input_files(plugins.load("sources", "csv"), {"path": "a.csv", "target": "y"}) == {
        "path": "a.csv"
    }
