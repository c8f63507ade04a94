import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from steps.classroom import changed, enter, run

from stillhouse.architectures.build import build_classifier
from stillhouse.data import prepared
from stillhouse.distillation.arms import section_of
from stillhouse.errors import SettingsError, UsageError
from stillhouse.evaluation import metrics as score
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.normalize import Normalize
from stillhouse.steps import arm as arms
from stillhouse.steps.distill import check
from stillhouse.workspace import StepFiles, Workspace, load_tensors, sha256

TESTS = Path(__file__).parent.parent


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    here = enter(tmp_path_factory.getbasetemp(), tmp_path / "work")
    settings: dict[str, Any] = changed("distill.optimizer.lr=0.01", "distill.method.temperature=4")[
        "distill"
    ]
    arms = {"student": settings, "none": settings, "hard": {**settings, "method": {"name": "ce"}}}
    studies = {arm: {"settings": section, "best": 0, "trials": []} for arm, section in arms.items()}
    Workspace(here).write_json("artifacts/tune/trials.json", {"studies": studies})
    return here


def test_every_arm_is_trained_from_the_same_seeds_for_the_same_steps(root: Path) -> None:
    run(root, "distill")
    table = Workspace(root).read_json("artifacts/distill/arms.json")["arms"]
    assert [(arm["name"], arm["seeds"], arm["steps"]) for arm in table] == [
        (name, [0, 1], 6 * 4) for name in ("student", "none", "hard")
    ]
    assert table[0]["settings"]["method"] == {"name": "kd", "temperature": 4}
    curves = Workspace(root).read_json("artifacts/distill/curves.json")
    assert {arm: sorted(seeds) for arm, seeds in curves.items()} == {
        arm: ["0", "1"] for arm in ("student", "none", "hard")
    }
    for curve in (curves[arm][seed] for arm in curves for seed in "01"):
        assert len(curve["loss"]) == len(curve["val_accuracy"]) == len(curve["step"])
        assert curve["step"][-1] == 24


def test_the_student_that_ships_is_seed_0_and_its_metrics_are_recomputed(root: Path) -> None:
    found = run(root, "distill")
    files = StepFiles(Workspace(root), "export")
    schema, test = prepared.schema(files), prepared.load(files, "test")
    about = files.read_json("distill/student.json")
    model = build_classifier(about["architecture"], schema, Normalize.empty(schema), 9, "student")
    model.load_state_dict(files.read_tensors("distill/student.safetensors"))
    outcomes = files.read_tensors("distill/outcomes.safetensors")
    logits = logits_of(model, test.inputs)
    torch.testing.assert_close(logits, outcomes["student/0/test_logits"], rtol=0, atol=0)
    assert found["test/accuracy"] == score.accuracy(logits, test.targets)
    assert found["test/nll"] == score.nll(logits, test.targets)
    assert (
        about["parameters"]
        == sum(p.numel() for p in model.parameters())
        == 64 * 16 + 16 + 16 * 10 + 10
    )
    assert about["macs"] == 64 * 16 + 16 * 10
    assert about["method"] == {"name": "kd", "temperature": 4}
    assert "net" in about["taps"]


def test_gains_are_differences_of_the_stored_answers(root: Path) -> None:
    found = run(root, "distill")
    files = StepFiles(Workspace(root), "report")
    test, outcomes = (
        prepared.load(files, "test"),
        files.read_tensors("distill/outcomes.safetensors"),
    )
    assert len(outcomes) == 3 * 2 * 2
    mean = {
        arm: sum(
            score.accuracy(outcomes[f"{arm}/{seed}/test_logits"], test.targets) for seed in (0, 1)
        )
        / 2
        for arm in ("student", "none", "hard")
    }
    for arm, accuracy in mean.items():
        assert found[f"arms/{arm}/test_accuracy"] == pytest.approx(accuracy)
    assert found["receipt/gain_over_none"] == pytest.approx(mean["student"] - mean["none"])
    assert found["receipt/gain_over_hard"] == pytest.approx(mean["student"] - mean["hard"])


def test_none_hears_nothing_of_the_teacher_nor_of_unlabelled_rows(root: Path) -> None:
    run(root, "distill")
    files = StepFiles(Workspace(root), "distill")
    before = load_tensors(root / "artifacts/distill/outcomes.safetensors")
    material = arms.Material.read(files)
    other = material.picked.take(torch.arange(len(material.picked)))
    other.inputs[other.targets < 0] = 0
    scrambled = arms.Material(other, material.val, torch.zeros_like(material.answers))
    section = Workspace(root).read_json("artifacts/tune/trials.json")["studies"]["none"]["settings"]
    test = prepared.load(files, "test")
    same = logits_of(arms.train("none", section, seed=0, material=scrambled).model, test.inputs)
    torch.testing.assert_close(same, before["none/0/test_logits"], rtol=0, atol=0)
    student = logits_of(
        arms.train("student", section, seed=0, material=scrambled).model, test.inputs
    )
    assert not torch.equal(student, before["student/0/test_logits"])
    assert (material.picked.targets < 0).sum() == 60


def test_the_same_settings_give_the_same_bytes(root: Path) -> None:
    run(root, "distill")
    first = {
        p.name: sha256(p) for p in (root / "artifacts/distill").iterdir() if "timing" not in p.name
    }
    run(root, "distill")
    assert {
        p.name: sha256(p) for p in (root / "artifacts/distill").iterdir() if "timing" not in p.name
    } == first
    assert set(first) == {
        "student.safetensors",
        "student.json",
        "plain.safetensors",
        "siblings.safetensors",
        "arms.json",
        "transfer.json",
        "outcomes.safetensors",
        "curves.json",
        "metrics.json",
    }


def _killed(root: Path, where: str) -> None:
    code = (
        "from pathlib import Path\nfrom stillhouse import environment\nfrom steps.classroom "
        "import run\n"
        f"root = Path({str(root)!r})\nenvironment.prepare(root)\nrun(root, 'distill')"
    )
    env = {**os.environ, "PYTHONPATH": str(TESTS), "STILLHOUSE_FAILPOINTS": where}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9


def test_a_killed_step_goes_on_with_what_it_had_trained_to_the_same_bytes(
    root: Path, tmp_path: Path
) -> None:
    _killed(root, "training.batch=kill@60")  # in the third of six trainings of 24 steps
    [folder] = (root / ".stillhouse/work/distill").iterdir()
    assert len(list(folder.glob("*.safetensors"))) == 2
    broken = next(folder.glob("student-1.safetensors"))
    broken.write_bytes(broken.read_bytes()[:-1] + bytes([broken.read_bytes()[-1] ^ 1]))
    notes: list[str] = []
    run(root, "distill", progress=lambda done, total, note: notes.append(note))
    went_on = sha256(root / "artifacts/distill/outcomes.safetensors")
    assert any("going on after step 24" in note for note in notes), "the first training was kept"
    assert sum("differs from its digest" in note for note in notes) == 1, (
        "the second was spoilt and is done again"
    )
    run(root, "distill")
    assert sha256(root / "artifacts/distill/outcomes.safetensors") == went_on


def test_controls_that_were_asked_for_are_trained_beside_the_others(root: Path) -> None:
    trials = Workspace(root).read_json("artifacts/tune/trials.json")
    asked = ["none", "smooth", "shuffled", "no_kd"]
    method = {"name": "combine", "parts": [{"name": "kd"}, {"name": "fitnet", "weight": 0.1}]}
    student = {**trials["studies"]["student"]["settings"], "method": method, "controls": asked}
    trials["studies"] = {
        arm: {"settings": section_of(arm, student), "best": 0, "trials": []}
        for arm in ("student", *asked)
    }
    Workspace(root).write_json("artifacts/tune/trials.json", trials)
    found = run(root, "distill")
    table = Workspace(root).read_json("artifacts/distill/arms.json")["arms"]
    assert [(arm["name"], arm["seeds"], arm["steps"]) for arm in table] == [
        (name, [0, 1], 24) for name in ("student", *asked)
    ]
    assert {name for name in found if name.startswith("receipt/")} == {
        f"receipt/gain_over_{control}" for control in asked
    }
    outcomes = load_tensors(root / "artifacts/distill/outcomes.safetensors")
    assert not torch.equal(outcomes["student/0/test_logits"], outcomes["shuffled/0/test_logits"])
    assert not torch.equal(outcomes["none/0/test_logits"], outcomes["smooth/0/test_logits"])
    before = sha256(root / "artifacts/distill/outcomes.safetensors")
    run(root, "distill")
    assert sha256(root / "artifacts/distill/outcomes.safetensors") == before


def test_progress_moves_inside_a_training_and_ends_whole(root: Path) -> None:
    shown: list[float] = []
    run(root, "distill", progress=lambda done, total, note: shown.append(done / total))
    assert shown == sorted(shown)
    assert shown[-1] == 1
    assert len(shown) > 6


def test_a_misspelt_setting_is_refused_with_the_nearest_name() -> None:
    check(changed())
    with pytest.raises(SettingsError, match="Did you mean 'temperature'"):
        check(changed("distill.method.temperatur=3"))


def test_a_method_for_other_rows_is_refused(root: Path) -> None:
    trials = Workspace(root).read_json("artifacts/tune/trials.json")
    (root / "mine.py").write_text(
        "from stillhouse.distillation.method import Method\n\n\nclass Tabular(Method):\n    "
        "accepts = frozenset({'table'})\n\n"
        "    def forward(self, student, teacher, batch):\n        return "
        "student.logits.sum(dim=1)\n"
    )
    from stillhouse import plugins

    plugins.use(["mine.py"], root)
    try:
        trials["studies"]["student"]["settings"]["method"] = {"name": "tabular"}
        Workspace(root).write_json("artifacts/tune/trials.json", trials)
        with pytest.raises(UsageError, match="'tabular' takes table, not image"):
            run(root, "distill")
    finally:
        plugins.use([], root)
