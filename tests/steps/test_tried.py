"""The models of the student's best trials, as `tune` leaves them behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from steps.classroom import changed, enter, run

from stillhouse import failpoints
from stillhouse.errors import StillhouseError
from stillhouse.steps import arm as arms
from stillhouse.steps import tried
from stillhouse.steps.student import filled
from stillhouse.steps.trials import read_material
from stillhouse.workspace import StepFiles, Workspace

ONE = "distill.controls=[none]"
FILES = ("siblings.safetensors", "siblings.json", "trials.json")


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return enter(tmp_path_factory.getbasetemp(), tmp_path / "work")


def kept(root: Path) -> list[tuple[tried.Tried, dict[str, torch.Tensor]]]:
    return tried.read(StepFiles(Workspace(root), "robustness"))


def files(root: Path) -> list[bytes]:
    return [(root / "artifacts" / "tune" / name).read_bytes() for name in FILES]


def student(root: Path) -> dict[str, Any]:
    return json.loads((root / "artifacts/tune/trials.json").read_bytes())["studies"]["student"]


@pytest.mark.parametrize("engine", ["sequential", "fleet"])
def test_the_best_trials_are_kept_best_first_and_answer_as_they_did(
    root: Path, engine: str
) -> None:
    run(root, "tune", changed(ONE, f"tune.engine={engine}", "tune.trials=4", "tune.together=4"))
    study, found = student(root), kept(root)
    order = sorted(
        study["trials"],
        key=lambda t: (-t["values"]["val/accuracy"], t["values"]["val/nll"], t["number"]),
    )
    assert [one.number for one, _ in found] == [trial["number"] for trial in order[:3]]
    assert found[0][0].number == study["best"]
    there = StepFiles(Workspace(root), "robustness")
    material = read_material(root, arms.key(StepFiles(Workspace(root), "tune")))
    for one, state in found:
        model = filled(there, one.student, state, tried.FILE)
        measured = arms.measure(model, material)
        assert measured["val/nll"] == pytest.approx(one.values["val/nll"], rel=1e-5)
    assert len({one.values["val/nll"] for one, _ in found}) == 3  # three models, not one thrice


def test_dropped_trials_are_not_kept_and_fewer_may_be_wanted(root: Path) -> None:
    half = (ONE, "tune.halving={first: 0.25, keep: 0.5}", "tune.trials=4", "tune.together=4")
    run(root, "tune", changed(*half))
    whole = [t["number"] for t in student(root)["trials"] if t["state"] == "complete"]
    assert sorted(one.number for one, _ in kept(root)) == whole
    assert len(whole) == 1
    run(root, "tune", changed(ONE, "tune.siblings=2"))
    assert len(kept(root)) == 2
    run(root, "tune", changed(ONE, "tune.siblings=0"))
    assert kept(root) == []


def test_equal_settings_are_kept_once(root: Path) -> None:
    two = {"choice": [0.01, 0.02]}
    params = changed(ONE, "tune.trials=5", "distill.method.temperature=4.0")
    params["distill"]["optimizer"] = {"name": "adamw", "lr": two}
    run(root, "tune", params)
    assert len(kept(root)) == 2


def test_without_a_space_the_one_trial_is_kept(root: Path) -> None:
    run(root, "tune", changed(ONE, "distill.method.temperature=4.0", "distill.optimizer.lr=0.01"))
    assert [one.number for one, _ in kept(root)] == [0]


@pytest.mark.parametrize(
    ("engine", "point"),
    [("sequential", "training.after_checkpoint@2"), ("fleet", "tuning.between_tells@2")],
)
def test_after_a_failure_on_the_way_the_same_bytes_are_kept(
    root: Path, tmp_path_factory: pytest.TempPathFactory, engine: str, point: str
) -> None:
    params = changed(ONE, f"tune.engine={engine}", "tune.together=3")
    unhurt = enter(tmp_path_factory.getbasetemp(), root.parent / "unhurt")
    run(unhurt, "tune", params)
    name, _, at = point.partition("@")
    failpoints.arm(f"{name}=raise@{at}")
    with pytest.raises(StillhouseError):
        run(root, "tune", params)
    failpoints.arm("")
    run(root, "tune", params)
    assert files(root) == files(unhurt)


def test_a_trial_that_was_trained_elsewhere_is_trained_once_more(root: Path) -> None:
    params = changed(ONE, "tune.engine=sequential")
    run(root, "tune", params)
    before = files(root)
    for path in (root / ".stillhouse" / "work" / "tune" / "student").rglob("*.safetensors"):
        path.unlink()
    run(root, "tune", params)
    assert files(root) == before
