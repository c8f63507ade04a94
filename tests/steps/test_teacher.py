import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.data import prepared
from stillhouse.environment import Place, place
from stillhouse.errors import (
    Corrupt,
    PluginNotFound,
    SettingsError,
    SourceError,
    StillhouseError,
    TeacherBelowGate,
)
from stillhouse.evaluation.evaluate import report
from stillhouse.pipeline.body import run_body
from stillhouse.steps import prepare, teacher
from stillhouse.teachers.ask import ask
from stillhouse.teachers.recall import recall
from stillhouse.workspace import StepFiles, Workspace

PREPARE = {
    "source": {"name": "digits"},
    "split": {"by": "row", "val": 0.1, "test": 0.1},
    "labelled": 40,
    "unlabelled": 40,
}
FIT = {"name": "fit", "architecture": {"name": "mlp", "width": 16, "depth": 1}, "epochs": 4}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    run_body(
        prepare.step,
        made,
        params={"prepare": PREPARE},
        place=where(tmp_path),
        progress=lambda done, total, note: None,
    )
    return made


def where(root: Path) -> Place:
    return place(root)


def run(workspace: Workspace, section: dict[str, Any]) -> StepFiles:
    teacher.step.check({"teacher": section})
    run_body(
        teacher.step,
        workspace,
        params={"teacher": section},
        place=where(workspace.root),
        progress=lambda done, total, note: None,
    )
    return StepFiles(workspace, "report")


def predictions(
    workspace: Workspace,
    name: str = "p.npz",
    *,
    leave: Callable[[np.ndarray[Any, Any]], Any] = lambda rows: rows >= 0,
) -> dict[str, Any]:
    rows = np.arange(1797)
    chance = np.random.default_rng(0).dirichlet(np.ones(10), 1797)
    np.savez(workspace.root / name, rows=rows[leave(rows)], probabilities=chance[leave(rows)])
    return {"name": "predictions", "path": name}


def test_it_stores_the_teacher_its_answers_and_their_evaluation(workspace: Workspace) -> None:
    files = run(workspace, {**FIT, "gate": {"metric": "val/accuracy", "at_least": 0.5}})
    written = {
        path.relative_to(workspace.artifacts / "teacher").parts[0]
        for path in (workspace.artifacts / "teacher").rglob("*")
        if path.is_file()
    }
    assert written == {*teacher.step.writes, "metrics.json", "teacher.timing.json"}
    about, evaluation = (
        files.read_json("teacher/teacher.json"),
        files.read_json("teacher/evaluation.json"),
    )
    answers, test = files.read_tensors("teacher/outcomes.safetensors"), prepared.load(files, "test")
    assert evaluation["test"] == report(answers["test_logits"], test.targets, test.classes)
    assert (about["name"], about["spec"], about["architecture"]) == (
        "fit",
        FIT,
        FIT["architecture"],
    )
    assert about["gives"] == ["features", "gradients", "logits"]
    metrics = files.read_json("teacher/metrics.json")
    assert metrics["test/accuracy"] == evaluation["test"]["accuracy"][1]
    assert about["gate"] == {
        "metric": "val/accuracy",
        "at_least": 0.5,
        "observed": metrics["val/accuracy"],
        "passed": True,
    }


def test_the_stored_teacher_gives_its_answers_again_and_a_changed_one_is_refused(
    workspace: Workspace,
) -> None:
    files = run(workspace, FIT)
    test = prepared.load(files, "test")
    stored = files.read_tensors("teacher/outcomes.safetensors")["test_logits"]
    torch.testing.assert_close(ask(recall(files, test.schema), test), stored, rtol=0, atol=0)
    weights = files.path("teacher/model/teacher.safetensors")
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Corrupt, match="not those that were stored"):
        recall(files, test.schema)


def test_the_same_settings_give_the_same_bytes(workspace: Workspace) -> None:
    def read() -> dict[str, bytes]:
        return {
            p.name: p.read_bytes()
            for p in (workspace.artifacts / "teacher").rglob("*")
            if p.is_file() and "timing" not in p.name
        }

    run(workspace, FIT)
    first = read()
    run(workspace, FIT)
    assert read() == first


def test_a_teacher_below_its_gate_is_refused_and_the_old_one_kept(workspace: Workspace) -> None:
    files = run(workspace, FIT)
    before = files.read_bytes("teacher/teacher.json")
    with pytest.raises(TeacherBelowGate, match=r"val/accuracy is 0\.\d{4}, below 0\.999") as caught:
        run(workspace, {**FIT, "gate": {"metric": "val/accuracy", "at_least": 0.999}})
    assert caught.value.exit_code == 3
    assert files.read_bytes("teacher/teacher.json") == before


def test_a_useless_teacher_without_a_gate_runs_through(workspace: Workspace) -> None:
    files = run(workspace, {**predictions(workspace), "gate": None})
    about = files.read_json("teacher/teacher.json")
    assert (about["gate"], about["architecture"], about["parameters"], about["gives"]) == (
        None,
        None,
        0,
        ["logits"],
    )
    assert files.read_json("teacher/metrics.json")["test/accuracy"] < 0.25
    assert files.read_json("teacher/evaluation.json")["test"]["rows"] == len(
        prepared.load(files, "test")
    )


@pytest.mark.parametrize("split", ["val", "test", "train"])
def test_a_row_of_any_split_that_is_not_answered_is_named(workspace: Workspace, split: str) -> None:
    files = StepFiles(workspace, "teacher")
    rows = (
        prepared.picked(files)
        if split == "train"
        else prepared.load(files, "val" if split == "val" else "test")
    ).rows
    with pytest.raises(
        SourceError, match=f"on {split}: there is no answer for row {rows[3]}"
    ) as caught:
        run(workspace, predictions(workspace, leave=lambda numbers: numbers != int(rows[3])))
    assert caught.value.exit_code == 2


def test_train_rows_that_no_student_sees_need_no_answer(workspace: Workspace) -> None:
    files = StepFiles(workspace, "teacher")
    seen = torch.cat(
        [
            prepared.picked(files).rows,
            prepared.load(files, "val").rows,
            prepared.load(files, "test").rows,
        ]
    ).numpy()
    answered = run(workspace, predictions(workspace, leave=lambda numbers: np.isin(numbers, seen)))
    assert len(answered.read_tensors("teacher/outcomes.safetensors")["test_logits"]) == len(
        prepared.load(files, "test")
    )


@pytest.mark.parametrize(
    ("section", "error", "said"),
    [
        (None, SettingsError, "teacher: needs a mapping with a name"),
        ({"name": "fitt"}, PluginNotFound, r"teacher\.name: .*Did you mean 'fit'"),
        (
            {**FIT, "epochs": {"int": [1, 9]}},
            SettingsError,
            r"teacher\.epochs: .* only under distill",
        ),
        (
            {**FIT, "architecture": {"name": "mlp", "width": {"int": [4, 8]}}},
            SettingsError,
            r"teacher\.architecture\.width: .* only under distill",
        ),
        ({**FIT, "gates": None}, SettingsError, "unknown setting 'gates'"),
        ({**FIT, "gate": 0.9}, SettingsError, r"teacher\.gate: a gate is a mapping"),
        (
            {**FIT, "gate": {"metric": "val/acuracy", "at_least": 0.9}},
            SettingsError,
            r"teacher\.gate\.metric: .*Did you mean 'val/accuracy'",
        ),
        (
            {**FIT, "gate": {"metric": "val/accuracy", "at_least": 90}},
            SettingsError,
            r"teacher\.gate\.at_least",
        ),
        (
            {**FIT, "gate": {"metric": "val/accuracy"}},
            SettingsError,
            r"teacher\.gate: the gate needs exactly one of at_least and at_most",
        ),
        ({"name": "predictions", "path": 3}, SettingsError, r"teacher\.path"),
        ({"name": "onnx"}, SettingsError, r"teacher\.path: this setting is required"),
    ],
)
def test_a_section_that_does_not_fit_is_refused_at_load(
    section: Any, error: type[StillhouseError], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        teacher.check({"teacher": section})
    assert caught.value.exit_code == 2
    teacher.check({"teacher": FIT})


def test_the_file_that_the_teacher_names_is_its_source() -> None:
    assert teacher.step.sources(
        {"teacher": {"name": "onnx", "path": "models/t.onnx", "gate": None}}
    ) == {"path": "models/t.onnx"}
    assert teacher.step.sources({"teacher": FIT}) == {}


def test_metrics_are_those_of_the_files(workspace: Workspace) -> None:
    run(workspace, FIT)
    metrics = json.loads((workspace.artifacts / "teacher" / "metrics.json").read_bytes())
    assert set(metrics) == {
        f"{split}/{name}"
        for split in ("val", "test")
        for name in ("accuracy", "balanced_accuracy", "nll", "brier", "ece")
    }
