import shutil

import pytest
import torch
from steps.test_robustness import exported as exported
from steps.test_robustness import run
from steps.walked import SPEC, job, settle

from stillhouse.errors import Corrupt, DataError, SettingsError
from stillhouse.gating.metrics import find
from stillhouse.steps import gate, robustness, siblings, tried
from stillhouse.steps.step import Job
from stillhouse.steps.student import load_student
from stillhouse.steps.tried import Tried
from stillhouse.workspace import StepFiles, Workspace

BALL = {"norm": "linf", "epsilon": 0.05}
BY_SIBLINGS = {"name": "transfer", **BALL, "steps": 5, "surrogates": ["student", "none"]}


def test_of_each_control_seed_0_is_kept_and_of_the_student_seed_1():
    nets = {(arm, seed): torch.nn.Linear(1, 1) for arm in ("student", "none") for seed in (0, 1, 2)}
    kept = siblings.weights(nets)
    assert sorted(kept) == ["none/bias", "none/weight", "student/bias", "student/weight"]
    assert kept["none/weight"].data_ptr() == nets["none", 0].weight.data_ptr()
    assert kept["student/weight"].data_ptr() == nets["student", 1].weight.data_ptr()


def test_siblings_lead_a_transfer_where_settings_name_them_and_the_teacher_leads_its_own(exported):
    made = exported["image"]
    pgd = {"name": "pgd", **BALL, "steps": 5}
    about, _, metrics = run(made, attacks=[pgd, BY_SIBLINGS], corruptions=[])
    told = {one["label"]: one for one in about["attacks"]}
    assert set(told) == {"pgd_linf_0.05", "transfer_linf_0.05", "transfer_teacher_linf_0.05"}
    assert told["transfer_linf_0.05"]["settings"]["surrogates"] == ["student", "none"]
    # nearer relatives lead further than the teacher does
    by_siblings, by_teacher = (
        metrics[f"robust/{label}/accuracy"]
        for label in ("transfer_linf_0.05", "transfer_teacher_linf_0.05")
    )
    assert by_siblings < metrics["robust/clean/accuracy"]
    assert by_siblings <= by_teacher
    assert [one["label"] for one in about["transfer"]] == ["transfer_teacher_linf_0.05"]


def test_naming_siblings_changes_no_other_attack(exported):
    made, pgd = exported["image"], {"name": "pgd", **BALL, "steps": 5}
    _, plain, _ = run(made, attacks=[pgd], corruptions=[])
    _, more, _ = run(made, attacks=[pgd, BY_SIBLINGS], corruptions=[])
    assert torch.equal(plain["attack/pgd_linf_0.05"], more["attack/pgd_linf_0.05"])


BY_TRIALS = {**BY_SIBLINGS, "surrogates": ["trials"]}


def test_the_models_of_trials_lead_a_transfer_and_are_named(exported):
    about, _, metrics = run(exported["image"], attacks=[BY_TRIALS], corruptions=[])
    [told] = [one for one in about["attacks"] if one["label"] == "transfer_linf_0.05"]
    assert told["settings"]["surrogates"] == ["trial-4", "trial-2"]
    assert metrics["robust/transfer_linf_0.05/accuracy"] < metrics["robust/clean/accuracy"]
    both = {**BY_SIBLINGS, "surrogates": ["trials", "none"]}
    more, _, _ = run(exported["image"], attacks=[both], corruptions=[])
    assert more["attacks"][0]["settings"]["surrogates"] == ["trial-4", "trial-2", "none"]


def test_who_a_trial_s_model_is_decides_what_it_leads_to(exported, tmp_path):
    """A trial that is the student itself leads as far as the student's own gradients do; one that
    answers the same whatever it sees leads nowhere.
    """
    made = Workspace(tmp_path)
    shutil.copytree(exported["image"].root, tmp_path, dirs_exist_ok=True)
    student = load_student(job(made, "robustness", {}).files)

    def withstood(state):
        made.remove("artifacts/tune")
        tried.write(StepFiles(made, "tune"), [(Tried(0, SPEC, {}), state)])
        settle(made, "tune")
        _, _, metrics = run(made, attacks=[BY_TRIALS], corruptions=[])
        return metrics["robust/transfer_linf_0.05/accuracy"], metrics["robust/clean/accuracy"]

    itself, clean = withstood(student.state_dict())
    _, _, own = run(made, attacks=[{"name": "pgd", **BALL, "steps": 5}], corruptions=[])
    assert itself == pytest.approx(own["robust/pgd_linf_0.05/accuracy"], abs=0.03)
    numb = {
        key: each * 0 if key.startswith("net") else each
        for key, each in student.state_dict().items()
    }
    nowhere, _ = withstood(numb)
    assert itself < nowhere
    assert nowhere > clean - 0.1


def test_where_no_trial_was_kept_it_is_refused(exported, tmp_path):
    made = Workspace(tmp_path)
    shutil.copytree(exported["image"].root, tmp_path, dirs_exist_ok=True)
    run(made, attacks=[BY_TRIALS], corruptions=[])
    made.remove("artifacts/tune")
    tried.write(StepFiles(made, "tune"), [])
    settle(made, "tune")
    with pytest.raises(DataError, match=r"tune.siblings above 0"):
        run(made, attacks=[BY_TRIALS], corruptions=[])
    made.remove("artifacts/tune")  # a dvc.yaml that does not know them restores none
    with pytest.raises(DataError, match=r"under the outs of `tune` and the deps of `robustness`"):
        run(made, attacks=[BY_TRIALS], corruptions=[])
    run(made, attacks=[BY_SIBLINGS], corruptions=[])


def test_weights_of_another_architecture_are_refused(exported, tmp_path):
    made = Workspace(tmp_path)
    shutil.copytree(exported["image"].root, tmp_path, dirs_exist_ok=True)
    state = load_student(job(made, "robustness", {}).files).state_dict()
    made.remove("artifacts/tune")
    tried.write(StepFiles(made, "tune"), [(Tried(0, {**SPEC, "width": 7}, {}), state)])
    settle(made, "tune")
    with pytest.raises(Corrupt, match="Run the step `tune` again"):
        run(made, attacks=[BY_TRIALS], corruptions=[])


def test_the_teacher_can_be_one_of_several(exported):
    both = {**BY_SIBLINGS, "surrogates": ["teacher", "none"]}
    about, _, _ = run(exported["image"], attacks=[both], corruptions=[])
    assert {one["label"] for one in about["attacks"]} == {
        "transfer_linf_0.05",
        "transfer_teacher_linf_0.05",
    }


def test_a_sibling_that_was_not_kept_is_refused(exported):
    asked = {**BY_SIBLINGS, "surrogates": ["hard"]}
    with pytest.raises(DataError, match="kept no 'hard'"):
        run(exported["image"], attacks=[asked], corruptions=[])


@pytest.mark.parametrize(
    ("distill", "names", "said"),
    [
        ({}, ["nune"], "'none'"),
        ({"controls": ["none"]}, ["hard"], "no model 'hard'"),
        ({"seeds": 1}, ["student"], "seeds is 1"),
        ({}, [], "needs another model"),
        ({"siblings": 0}, ["trials"], "tune.siblings is 0"),
    ],
)
def test_models_that_there_will_not_be_are_refused_at_load(distill, names, said):
    def check(distill, names):
        attack = {**BY_SIBLINGS, "surrogates": names}
        tune = {key: distill[key] for key in distill if key == "siblings"}
        own = {key: distill[key] for key in distill if key != "siblings"}
        robustness.step.check({"tune": tune, "distill": own, "robustness": {"attacks": [attack]}})

    check({}, ["student", "none", "hard", "teacher", "trials"])
    check({"controls": ["smooth"], "seeds": 2}, ["smooth"])
    with pytest.raises(SettingsError, match=said):
        check(distill, names)


def test_rules_may_speak_of_both_transfers(exported):
    asked = job(exported["image"], "robustness", {"attacks": [BY_SIBLINGS]})
    assert isinstance(asked, Job)
    names = gate.known(asked.params)
    for label in ("transfer_linf_0.05", "transfer_teacher_linf_0.05"):
        assert f"robust/{label}/accuracy" in names
        assert find(f"robust/{label}/accuracy")
