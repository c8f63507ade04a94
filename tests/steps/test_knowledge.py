from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from teachers.served import serving

from stillhouse.data import prepared
from stillhouse.environment import place
from stillhouse.errors import Corrupt, OverBudget, UsageError
from stillhouse.knowledge.store import reopen
from stillhouse.pipeline.body import run_body
from stillhouse.steps import distill, knowledge, prepare, teacher, tune
from stillhouse.steps.arm import Material, require_access, train
from stillhouse.steps.step import Step, silent
from stillhouse.teachers.ask import ask
from stillhouse.teachers.recall import recall
from stillhouse.workspace import StepFiles, Workspace, sha256

PARAMS: dict[str, Any] = {
    "prepare": {
        "source": {"name": "digits"},
        "split": {"by": "row", "val": 0.1, "test": 0.1},
        "labelled": 40,
        "unlabelled": 40,
    },
    "teacher": {
        "name": "fit",
        "architecture": {"name": "mlp", "width": 16, "depth": 1},
        "epochs": 2,
    },
    "knowledge": {"views": 1},
}


def run(workspace: Workspace, *steps: Step, params: dict[str, Any] = PARAMS) -> StepFiles:
    for step in steps:
        run_body(
            step,
            workspace,
            params=params,
            place=place(workspace.root),
            progress=lambda done, total, note: None,
        )
    return StepFiles(workspace, "report")


def test_the_store_holds_the_teacher_s_answers_to_the_rows_that_the_student_sees(
    tmp_path: Path,
) -> None:
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step)
    rows = prepared.picked(files)
    said = ask(recall(files, rows.schema), rows)
    found = reopen(files, rows).logits()
    assert len(rows) == 80
    torch.testing.assert_close(found, said - said.amax(dim=1, keepdim=True), rtol=1e-3, atol=1e-3)
    written = {
        path.relative_to(tmp_path / "artifacts/knowledge").parts[0]
        for path in (tmp_path / "artifacts/knowledge").rglob("*")
        if path.is_file()
    }
    assert written == {*knowledge.step.writes, "metrics.json", "knowledge.timing.json"}
    about = files.read_json("knowledge/knowledge.json")
    assert (about["rows"], about["views"], about["fingerprint"]) == (
        80,
        1,
        sha256(files.path("knowledge/store/manifest.json")),
    )
    assert files.read_json("knowledge/metrics.json") == {
        "knowledge/rows": 80.0,
        "knowledge/bytes": float(about["bytes"]),
    }


def test_the_student_learns_from_every_view_and_from_the_answer_to_it(tmp_path: Path) -> None:
    seen = {**PARAMS, "knowledge": {"views": 3, "augment": [{"name": "shift"}]}}
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step, params=seen)
    assert files.read_json("knowledge/metrics.json")["knowledge/rows"] == 240
    material = Material.read(files)
    assert (len(material.picked), len(material.seen), len(material.answers)) == (80, 240, 240)
    said = ask(recall(files, material.seen.schema), material.seen)
    torch.testing.assert_close(
        material.answers, said - said.amax(dim=1, keepdim=True), rtol=2e-3, atol=2e-3
    )
    section = {"student": {"name": "mlp", "width": 8}, "epochs": 4, "batch": 20}
    for arm in ("student", "none", "hard", "shuffled"):
        fitted = train(arm, section, seed=0, material=material)
        assert fitted.steps == 4 * 80 // 20  # the budget is that of the rows, not of the views


def test_the_share_of_synthetic_rows_is_a_setting_that_can_be_searched(tmp_path: Path) -> None:
    wine = {"source": {"name": "breast_cancer"}, "split": {"by": "row", "val": 0.1, "test": 0.1}}
    params = {
        **PARAMS,
        "prepare": {**wine, "labelled": 40, "unlabelled": 40},
        "knowledge": {"views": 3, "augment": [{"name": "munge"}]},
    }
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step, params=params)
    material = Material.read(files)
    assert [len(material.sharing(s).seen) for s in (None, 2.0, 1.25, 1.0, 0.5, 0.0)] == [
        240, 240, 180, 160, 120, 80,
    ]  # fmt: skip
    part = material.sharing(1.25)
    assert torch.equal(part.seen.inputs[:160], material.seen.inputs[:160])
    assert len(set(part.seen.rows[160:].tolist())) == 20
    at = [material.picked.rows.tolist().index(row) for row in part.seen.rows[160:].tolist()]
    assert torch.equal(part.answers[160:], material.answers[160:][at])
    assert int((part.seen.targets >= 0).sum()) == 40  # a synthetic row has no label
    with pytest.raises(UsageError, match="3 changed rows a row are asked for, and the teacher was"):
        material.sharing(3.0)
    section = {"student": {"name": "mlp", "width": 8}, "epochs": 4, "batch": 20, "synthetic": 1.25}
    for arm in ("student", "none", "shuffled"):
        assert train(arm, section, seed=0, material=material).steps == 16
    searched = {"synthetic": {"float": [0, 2]}, "controls": []}
    distill.check({**params, "distill": searched})
    with pytest.raises(UsageError, match=r"3 changed rows a row.*Set knowledge.views: 4"):
        distill.check({**params, "distill": {"synthetic": {"float": [0, 3]}}})


def test_a_paid_teacher_is_asked_about_each_row_once_and_a_cap_stops_before_the_job(
    tmp_path: Path,
) -> None:
    with serving() as server:
        paid = {"name": "endpoint", "url": server.url, "allow": ["127.0.0.1"], "rate": 1000.0}
        money = {"usd_per_row": 0.01, "cap_usd": 1.0}
        params = {**PARAMS, "teacher": {**paid, **money, "gate": None}}
        run(Workspace(tmp_path), prepare.step, params=params)
        with pytest.raises(OverBudget, match=r"of the cap of \$1.00 are spent"):
            run(Workspace(tmp_path), teacher.step, params=params)
        assert server.asked == []
        params["teacher"]["cap_usd"] = 20.0
        files = run(Workspace(tmp_path), teacher.step, knowledge.step, params=params)
        reopen(files, prepared.picked(files))
        rows = [row for row in server.asked if server.asked.count(row) == 1]
        again = len(server.asked) - len(set(server.asked))
        assert len(set(server.asked)) == len(rows) + again
        assert again == 4  # the probe asks four rows anew, to see whether the model changed
        assert not list((tmp_path / "artifacts").rglob("spent.json"))


def test_twenty_trials_pay_the_teacher_once(tmp_path: Path) -> None:
    with serving() as server:
        paid = {"name": "endpoint", "url": server.url, "allow": ["127.0.0.1"], "rate": 1000.0}
        params = {
            **PARAMS,
            "teacher": {**paid, "usd_per_row": 0.01, "cap_usd": 20.0, "gate": None},
            "tune": {"trials": 20},
            "distill": {
                "student": {"name": "mlp", "width": 4, "depth": 1},
                "optimizer": {"name": "adamw", "lr": {"float": [0.001, 0.1], "log": True}},
                "method": {"name": "kd", "temperature": {"float": [1, 20], "log": True}},
                "epochs": 1,
                "controls": [],
            },
        }
        run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step, params=params)
        before = len(server.asked)
        files = run(Workspace(tmp_path), tune.step, params=params)
        assert files.read_json("tune/metrics.json")["tune/trials"] == 20.0
        assert len(server.asked) == before


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_one_workspace_asked_in_a_shared_place_another_one_finds(
    tmp_path: Path, scheme: str
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    shared = f"{scheme}{folder}" if scheme else folder
    with serving() as server:
        free = {"name": "endpoint", "url": server.url, "allow": ["127.0.0.1"], "rate": 1000.0}
        params, asked, kept = {**PARAMS, "teacher": {**free, "gate": None}}, [], []
        for name in ("one", "two"):
            files = run(Workspace(tmp_path / name), prepare.step, teacher.step, params=params)
            before = len(server.asked)
            here = replace(place(tmp_path / name), knowledge=shared)
            run_body(knowledge.step, files.workspace, params=params, place=here, progress=silent)
            asked.append(len(server.asked) - before)
            kept.append(files.read_json("knowledge/knowledge.json"))
    assert asked == [80, 8]  # the second one asks about the sentinels alone
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"keep": "sampled"}, "kept as 'sampled' takes 130 bytes, whole it takes 20"),
        ({"keep": "top", "count": 8}, "kept as 'top' takes 34 bytes, whole it takes 20"),
        ({"keep": "some"}, "knowledge.keep: must be 'all', 'sampled' or 'top'"),
    ],
)
def test_a_form_that_saves_nothing_is_refused(
    tmp_path: Path, section: dict[str, Any], said: str
) -> None:
    files = run(Workspace(tmp_path), prepare.step, teacher.step)
    with pytest.raises(UsageError, match=said):
        run(files.workspace, knowledge.step, params={**PARAMS, "knowledge": section})
    run(files.workspace, knowledge.step)


def test_sampled_answers_are_small_and_for_kd_at_their_temperature_alone(tmp_path: Path) -> None:
    kept = {"keep": "sampled", "count": 4, "temperature": 2.0}
    params = {**PARAMS, "knowledge": kept}
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step, params=params)
    assert files.read_json("knowledge/knowledge.json")["bytes_a_row"] == 10
    material = Material.read(files)
    oracle = recall(files, material.picked.schema)
    assert torch.equal(material.decisions, ask(oracle, material.picked, where="a").argmax(dim=1))
    section = {"student": {"name": "mlp", "width": 8}, "epochs": 2, "batch": 20}
    for method in ({"name": "kd"}, {"name": "dkd", "temperature": 2.0}):
        with pytest.raises(UsageError, match=f"temperature 2, and '{method['name']}' would learn"):
            require_access({**section, "method": method}, material)
    section["method"] = {"name": "kd", "temperature": 2.0}
    require_access({**section, "selector": {"name": "uncertain"}}, material)
    with pytest.raises(UsageError, match="sampled, and the selector 'confidence' looks at whole"):
        require_access({**section, "selector": {"name": "confidence"}}, material)
    require_access(section, material)
    assert train("student", section, seed=0, material=material).steps == 8


def test_the_largest_logits_alone_come_with_a_warning(tmp_path: Path) -> None:
    params = {**PARAMS, "knowledge": {"keep": "top", "count": 3}}
    files = run(Workspace(tmp_path), prepare.step, teacher.step)
    with pytest.warns(knowledge.Biased, match="the student learns a biased tail"):
        run(files.workspace, knowledge.step, params=params)
    assert files.read_json("knowledge/knowledge.json")["bytes_a_row"] == 14


def test_answers_of_a_teacher_that_was_trained_again_are_stale(tmp_path: Path) -> None:
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step)
    run(
        Workspace(tmp_path),
        teacher.step,
        params={**PARAMS, "teacher": {**PARAMS["teacher"], "seed": 1}},
    )
    with pytest.raises(UsageError, match="another teacher's"):
        reopen(files, prepared.picked(files))
    run(Workspace(tmp_path), knowledge.step)
    reopen(files, prepared.picked(files))


def test_a_useless_teacher_is_stored_like_any_other(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "p.npz",
        rows=np.arange(1797),
        probabilities=np.random.default_rng(0).dirichlet(np.ones(10), 1797),
    )
    params = {**PARAMS, "teacher": {"name": "predictions", "path": "p.npz", "gate": None}}
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step, params=params)
    assert torch.isfinite(reopen(files, prepared.picked(files)).logits()).all()


def test_a_teacher_whose_files_changed_is_not_asked(tmp_path: Path) -> None:
    files = run(Workspace(tmp_path), prepare.step, teacher.step)
    weights = files.path("teacher/model/teacher.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(Corrupt, match="not those that were stored"):
        run(Workspace(tmp_path), knowledge.step)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"augment": [{"name": "shift"}]}, "with one view, the row itself, nothing is changed"),
        ({"views": 2, "augment": [{"name": "shiftt"}]}, "Did you mean 'shift'"),
        ({"views": 2, "augment": [{"name": "shift", "pixels": 0}]}, r"augment\.0\.pixels"),
        ({"views": 0}, r"knowledge\.views"),
        ({"view": 1}, "unknown setting 'view'. Did you mean 'views'"),
        ({"views": {"int": [1, 2]}}, "only under distill"),
    ],
)
def test_a_section_that_does_not_fit_is_refused_at_load(section: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        knowledge.check({"knowledge": section})
    knowledge.check({"knowledge": {"views": 1}})
    knowledge.check({"knowledge": {"views": 2, "augment": [{"name": "shift"}], "seed": 3}})
    knowledge.check({})


def test_a_method_learns_from_stored_features_as_from_a_teacher_that_is_asked(
    tmp_path: Path,
) -> None:
    seen = {**PARAMS, "knowledge": {"features": ["penultimate"]}}
    files = run(Workspace(tmp_path), prepare.step, teacher.step, knowledge.step, params=seen)
    material = Material.read(files)
    assert {name: tuple(each.shape) for name, each in material.features.items()} == {
        "penultimate": (80, 16)
    }
    section = {
        "student": {"name": "mlp", "width": 8, "depth": 1},
        "method": {"name": "fitnet", "layer": "penultimate"},
        "epochs": 6,
        "batch": 20,
    }
    live = replace(material, features={})
    for arm in ("student", "shuffled"):
        stored, asked = (
            train(arm, section, seed=0, material=each).model.state_dict()
            for each in (material, live)
        )
        for name in stored:
            torch.testing.assert_close(stored[name], asked[name], rtol=2e-2, atol=2e-3)
    wrong = {name: each.flip(0) for name, each in material.features.items()}
    moved = train("student", section, seed=0, material=replace(material, features=wrong))
    assert any(
        not torch.allclose(each, train_of, rtol=2e-2, atol=2e-3)
        for each, train_of in zip(
            moved.model.state_dict().values(),
            train("student", section, seed=0, material=live).model.state_dict().values(),
            strict=True,
        )
    )
