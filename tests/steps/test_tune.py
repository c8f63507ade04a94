import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from steps.classroom import PARAMS, changed, enter, run

from stillhouse import plugins
from stillhouse.errors import SettingsError, TrainingFailed, UsageError
from stillhouse.steps import arm as arms
from stillhouse.steps.engines import PINNED
from stillhouse.steps.tune import check
from stillhouse.workspace import StepFiles, Workspace

TESTS = Path(__file__).parent.parent


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return enter(tmp_path_factory.getbasetemp(), tmp_path / "work")


def studies(root: Path) -> dict[str, Any]:
    return Workspace(root).read_json("artifacts/tune/trials.json")["studies"]


def test_every_arm_has_a_study_of_equal_budget_over_the_settings_that_it_has(root: Path) -> None:
    shown: list[tuple[int, int]] = []
    metrics = run(root, "tune", progress=lambda done, total, note: shown.append((done, total)))
    found = studies(root)
    assert {arm: len(study["trials"]) for arm, study in found.items()} == {
        "student": 3,
        "none": 3,
        "hard": 3,
    }
    assert set(found["student"]["trials"][0]["params"]) == {"optimizer.lr", "method.temperature"}
    assert (
        set(found["none"]["trials"][0]["params"])
        == set(found["hard"]["trials"][0]["params"])
        == {"optimizer.lr"}
    )
    for study in found.values():
        best = study["trials"][study["best"]]
        assert study["settings"]["optimizer"]["lr"] == best["params"]["optimizer.lr"]
        assert best["values"]["val/accuracy"] == max(
            t["values"]["val/accuracy"] for t in study["trials"]
        )
    assert metrics == {
        "tune/trials": 9,
        "tune/failed_trials": 0,
        "tune/best_val_accuracy": metrics["tune/best_val_accuracy"],
    }
    assert shown[-1] == (9, 9)
    timing = json.loads((root / "artifacts/tune/tune.timing.json").read_text())
    assert set(timing) == {
        "seconds",
        *(f"trial/{arm}/{n}/seconds" for arm in found for n in range(3)),
    }


def test_the_same_settings_give_the_same_file_and_another_setting_other_trials(root: Path) -> None:
    run(root, "tune")
    first = (root / "artifacts/tune/trials.json").read_bytes()
    run(root, "tune")
    assert (root / "artifacts/tune/trials.json").read_bytes() == first
    run(root, "tune", changed("distill.epochs=5"))
    again, before = (
        studies(root)["student"]["trials"][0],
        json.loads(first)["studies"]["student"]["trials"][0],
    )
    assert again["params"] == before["params"], "the draw is the arm's and the number's"
    assert again["values"] != before["values"]


def test_trials_in_one_loop_come_to_what_they_come_to_one_by_one(root: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for engine in ("sequential", "fleet"):
        run(root, "tune", changed(f"tune.engine={engine}", "tune.together=3"))
        study = studies(root)["student"]
        assert study["engine"] == engine
        found[engine] = study["trials"]
    for one, other in zip(found["sequential"], found["fleet"], strict=True):
        assert one["params"] == other["params"]
        assert one["values"] == pytest.approx(other["values"], abs=1e-4)


def test_a_probe_chooses_the_engine_of_a_round_and_its_times_are_kept(root: Path) -> None:
    run(root, "tune", changed("tune.together=3"))
    assert {study["engine"] for study in studies(root).values()} <= {"sequential", "fleet"}
    timing = json.loads((root / "artifacts/tune/tune.timing.json").read_text())
    probed = {name for name in timing if name.startswith("engine/")}
    assert probed == {
        f"engine/{arm}/{way}/seconds" for arm in studies(root) for way in ("sequential", "fleet")
    }


def test_a_version_that_is_made_again_has_the_engine_that_it_had(root: Path) -> None:
    pinned = {"student": "fleet", "none": "sequential", "hard": "fleet"}
    Workspace(root).write_json(PINNED, pinned)
    run(root, "tune", changed("tune.together=3"))
    assert {arm: study["engine"] for arm, study in studies(root).items()} == pinned


def test_halving_drops_trials_and_says_so(root: Path) -> None:
    half = "tune.halving={first: 0.25, keep: 0.5}"
    for engine in ("fleet", "sequential"):
        metrics = run(
            root, "tune", changed(half, f"tune.engine={engine}", "tune.trials=5", "tune.together=5")
        )
        for study in studies(root).values():
            at = sorted(t.get("at", 1.0) for t in study["trials"])
            assert at == [0.25, 0.25, 0.5, 1.0, 1.0]
            assert study["trials"][study["best"]]["state"] == "complete"
            assert sum(t["state"] == "pruned" for t in study["trials"]) == 3
        assert metrics["tune/pruned_trials"] == 9


def test_a_method_that_looks_inside_is_trained_one_by_one_whatever_is_faster(root: Path) -> None:
    srd = "distill.method={name: combine, parts: [{name: kd}, {name: srd}]}"
    run(root, "tune", changed(srd, "tune.trials=2"))
    assert studies(root)["student"]["engine"] == "sequential"
    with pytest.raises(
        SettingsError, match=r"tune\.engine.*'student'.*more than the model's answers"
    ):
        run(root, "tune", changed(srd, "tune.trials=2", "tune.engine=fleet"))
    with pytest.raises(SettingsError, match=r"tune\.engine.*more than one"):
        run(root, "tune", changed("tune.engine=processes"))


def test_an_arm_without_a_space_has_one_trial_and_says_so(root: Path) -> None:
    run(root, "tune", changed("distill.optimizer.lr=0.01"))
    found = studies(root)
    assert {arm: len(study["trials"]) for arm, study in found.items()} == {
        "student": 3,
        "none": 1,
        "hard": 1,
    }
    assert "one trial" in found["none"]["note"]
    assert "note" not in found["student"]


def test_a_searched_budget_is_the_students_choice_for_every_arm(root: Path) -> None:
    run(root, "tune", changed("distill.epochs={int: [2, 6]}", "distill.batch={choice: [16, 32]}"))
    found = studies(root)
    assert {"epochs", "batch"} <= set(found["student"]["trials"][0]["params"])
    assert set(found["none"]["trials"][0]["params"]) == {"optimizer.lr"}
    assert (
        len({(study["settings"]["epochs"], study["settings"]["batch"]) for study in found.values()})
        == 1
    )


def test_every_control_that_is_asked_for_has_a_study_of_equal_budget(root: Path) -> None:
    method = (
        "{name: combine, parts: [{name: kd, temperature: {float: [1, 20]}}, {name: srd, weight: "
        "{float: [0.01, 1]}}]}"
    )
    shown: list[tuple[int, int]] = []
    change = changed(
        "distill.controls=[none, smooth, no_srd]",
        f"distill.method={method}",
        "distill.smoothing={float: [0.05, 0.3]}",
        "tune.trials=2",
    )
    run(root, "tune", change, progress=lambda done, total, note: shown.append((done, total)))
    found = studies(root)
    searched = {arm: sorted(study["trials"][0]["params"]) for arm, study in found.items()}
    lr, kd = "optimizer.lr", "method.parts.0.temperature"
    assert searched == {
        "student": [kd, "method.parts.1.weight", lr],
        "none": [lr],
        "smooth": [lr, "smoothing"],
        "no_srd": [kd, lr],
    }
    assert {len(study["trials"]) for study in found.values()} == {2}
    assert shown[-1] == (8, 8)
    assert found["student"]["settings"]["controls"] == ["none", "smooth", "no_srd"]


def test_two_objectives_choose_on_the_front(root: Path) -> None:
    run(
        root,
        "tune",
        changed(
            "tune.objectives=[val/accuracy, student/parameters]",
            "distill.student.width={int: [4, 32]}",
        ),
    )
    student = studies(root)["student"]
    assert student["objectives"] == ["val/accuracy", "student/parameters"]
    best = student["trials"][student["best"]]["values"]
    same = [
        t["values"]
        for t in student["trials"]
        if t["values"]["val/accuracy"] >= best["val/accuracy"]
    ]
    assert best["student/parameters"] == min(v["student/parameters"] for v in same)


MINE = """from stillhouse.distillation.method import Method


class Hungry(Method):
    needs = frozenset({"logits", "opinions"})

    def forward(self, student, teacher, batch):
        return student.logits.sum(dim=1)


class Mild(Method):
    def forward(self, student, teacher, batch):
        return (student.logits - teacher.logits).square().mean(dim=1)
"""


@pytest.fixture
def mine(root: Path) -> Iterator[str]:
    """A file of plugins that params.yaml could name."""
    (root / "mine.py").write_text(MINE)
    plugins.use(["mine.py"], root)
    yield "mine.py"
    plugins.use([], root)


def test_workers_know_a_users_plugins_and_end_with_the_step(root: Path, mine: str) -> None:
    run(
        root,
        "tune",
        changed(
            "tune.workers=2",
            "tune.trials=2",
            "distill.epochs=1",
            f"plugins=[{mine}]",
            "distill.method={name: mild}",
        ),
    )
    assert all(
        [t["state"] for t in study["trials"]] == ["complete"] * 2
        for study in studies(root).values()
    )
    assert not [
        p for p in Path("/proc").glob("[0-9]*/cmdline") if _ours(p, "stillhouse.tuning.serve")
    ]


def _ours(cmdline: Path, what: str) -> bool:
    try:
        parent = (cmdline.parent / "stat").read_text().rpartition(")")[2].split()[1]
        return what in cmdline.read_text() and int(parent) == os.getpid()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("point", "sets"),
    [
        ("tuning.before_tell=kill@5", ()),
        # 4 batches an epoch, 24 a training: in the second arm's loop, after its first rung
        ("training.batch=kill@40", ("tune.engine=fleet", "tune.together=3", "tune.halving={}")),
    ],
)
def test_a_killed_step_goes_on_to_the_same_file(
    root: Path, point: str, sets: tuple[str, ...]
) -> None:
    code = (
        "from pathlib import Path\nfrom stillhouse import environment\nfrom steps.classroom "
        f"import changed, run\nroot = Path({str(root)!r})\nenvironment.prepare(root)\n"
        f"run(root, 'tune', changed(*{sets!r}))"
    )
    env = {**os.environ, "PYTHONPATH": str(TESTS), "STILLHOUSE_FAILPOINTS": point}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9
    assert not (root / "artifacts/tune").exists()
    run(root, "tune", changed(*sets))
    killed = (root / "artifacts/tune/trials.json").read_bytes()
    run(root, "tune", changed(*sets))
    assert (root / "artifacts/tune/trials.json").read_bytes() == killed


def test_a_method_that_needs_more_than_the_teacher_gives_is_refused_by_name(
    root: Path, mine: str
) -> None:
    with pytest.raises(UsageError, match="'hungry' needs opinions"):
        run(root, "tune", changed("distill.method={name: hungry}", f"plugins=[{mine}]"))
    run(root, "tune", changed("distill.method={name: mild}", "tune.trials=1", f"plugins=[{mine}]"))


def test_a_method_that_looks_at_features_is_refused_a_black_box_and_trained_beside_a_torch_one(
    root: Path,
) -> None:
    clear = arms.Material.read(StepFiles(Workspace(root), "tune"))
    assert clear.gives == {"logits", "features", "gradients"}
    for name, needed in (("fitnet", "features"), ("adaad", "gradients")):
        section = {"method": {"name": name}}
        arms.require_access(section, clear)
        with pytest.raises(
            UsageError,
            match=f"'{name}' needs {needed}, which 'the teacher's stored answers' does not give",
        ):
            arms.require_access(section, replace(clear, teacher=None))


def test_a_study_that_always_diverges_names_the_rows_or_the_learning_rate(root: Path) -> None:
    with pytest.raises(TrainingFailed, match="all 1 trials of the arm 'student' failed"):
        run(
            root,
            "tune",
            changed("distill.optimizer={name: sgd, lr: 1.0e+30}", "distill.method={name: kd}"),
        )
    assert not (root / "artifacts/tune").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("tune.trials={int: [1, 5]}", "only under distill"),
        ("tune.trials=0", r"tune\.trials"),
        ("tune.trails=5", "Did you mean 'trials'"),
        ("tune.workers=two", r"tune\.workers"),
        ("tune.engine=fast", r"tune\.engine"),
        ("tune.halving={first: 1.5}", r"tune\.halving"),
        ("tune.halving={frist: 0.5}", "first"),
        ("tune.objectives=[val/acuracy]", "Did you mean 'val/accuracy'"),
        ("tune.objectives=[test/accuracy]", "only val chooses"),
        ("distill.method.temperature={float: [-1, 20]}", "temperature"),
        ("distill.method.temperature={float: [20, 1]}", "temperature"),
        ("distill.optimizer.lr={float: [0.001, 0.1], log: true, step: 0.1}", "either log or step"),
    ],
)
def test_bad_settings_are_refused_at_load(change: str, says: str) -> None:
    check(PARAMS)
    with pytest.raises(SettingsError, match=says):
        check(changed(change))
