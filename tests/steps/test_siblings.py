import pytest
import torch
from steps.test_robustness import exported as exported
from steps.test_robustness import run
from steps.walked import job

from stillhouse.errors import DataError, SettingsError
from stillhouse.gating.metrics import find
from stillhouse.steps import gate, robustness, siblings
from stillhouse.steps.step import Job

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
    ],
)
def test_models_that_there_will_not_be_are_refused_at_load(distill, names, said):
    def check(distill, names):
        attack = {**BY_SIBLINGS, "surrogates": names}
        robustness.step.check({"distill": distill, "robustness": {"attacks": [attack]}})

    check({}, ["student", "none", "hard", "teacher"])
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
