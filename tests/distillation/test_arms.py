import pytest
import torch
from training.blobs import blobs, net

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.arms import arms_of, fit_settings, objective, rows_of, section_of
from stillhouse.distillation.methods.ce import CE
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.settings import check
from stillhouse.errors import SettingsError, UsageError
from stillhouse.models.outputs import Batch
from stillhouse.training.fit import fit
from stillhouse.training.objective import Labels

SECTION = {
    "method": {"name": "dist"},
    "supervised": 0.2,
    "epochs": 4,
    "batch": 8,
    "optimizer": {"name": "adamw", "lr": 0.01},
}
FULL = blobs(24)
PICKED = Dataset(
    FULL.inputs, torch.where(torch.arange(24) < 9, FULL.targets, -1), FULL.schema, FULL.rows
)
ANSWERS = torch.nn.functional.one_hot(FULL.targets, 3).float() * 4


ALL = ("student", "none", "hard", "smooth", "shuffled")


def test_there_are_three_arms_unless_others_are_asked_for():
    assert arms_of(SECTION) == arms_of(None) == ("student", "none", "hard")
    assert arms_of({**SECTION, "controls": ["none", "shuffled"]}) == ("student", "none", "shuffled")
    assert arms_of({"controls": []}) == ("student",)


def test_hard_differs_from_the_student_in_the_method_alone():
    assert section_of("student", SECTION) == SECTION
    assert section_of("hard", SECTION) == {**SECTION, "method": {"name": "ce"}}
    made = objective("hard", SECTION, ANSWERS)
    assert isinstance(made, Distillation)
    assert isinstance(made.method, CE)
    assert made.supervised == 0.2


def test_spaces_inside_the_method_are_the_students_own():
    space = {"float": [1, 20], "log": True}
    searched = {
        "method": {"name": "kd", "temperature": space},
        "supervised": {"float": [0, 1]},
        "optimizer": {"name": "adamw", "lr": {"float": [0.001, 0.1]}},
    }
    assert section_of("hard", searched)["supervised"] == {"float": [0, 1]}
    assert section_of("hard", searched)["method"] == {"name": "ce"}
    assert section_of("none", searched)["supervised"] == 1.0
    assert section_of("none", searched)["optimizer"] == searched["optimizer"]


def test_none_learns_from_labelled_rows_alone_and_ignores_the_teacher():
    assert isinstance(objective("none", SECTION, None), Labels)
    rows = rows_of("none", PICKED)
    assert len(rows) == 9
    assert (rows.targets >= 0).all()
    assert rows_of("student", PICKED) is PICKED


def test_every_arm_takes_the_same_steps():
    taken = {}
    for arm in ALL:
        rows = rows_of(arm, PICKED)
        settings = fit_settings(section_of(arm, SECTION), len(PICKED), seed=0)
        taken[arm] = fit(net(PICKED), objective(arm, SECTION, ANSWERS), rows, FULL, settings).steps
    assert taken == dict.fromkeys(ALL, 12)


def test_settings_reach_the_training():
    made = fit_settings(
        {**SECTION, "clip": 2.0, "ema": 0.5, "patience": 3, "warmup": 0.5}, 24, seed=7
    )
    assert (
        made.epochs,
        made.batch,
        made.warmup,
        made.clip,
        made.ema,
        made.patience,
        made.seed,
        made.steps,
    ) == (4, 8, 0.5, 2.0, 0.5, 3, 7, 12)
    assert made.optimizer == {"name": "adamw", "lr": 0.01}


def test_a_student_needs_answers():
    with pytest.raises(UsageError, match="'dist' needs logits"):
        objective("student", SECTION, None)


def test_a_section_with_a_space_left_in_it_is_refused():
    with pytest.raises(SettingsError, match=r"distill\.supervised"):
        objective("student", {**SECTION, "supervised": {"float": [0, 1]}}, ANSWERS)


def test_the_hard_arm_is_cross_entropy_to_the_teachers_decisions():
    rows = Batch(
        PICKED.inputs[10:14],
        PICKED.targets[10:14],
        torch.zeros(4, dtype=torch.bool),
        torch.arange(10, 14),
    )
    model = net(PICKED)
    wanted = 0.8 * torch.nn.functional.cross_entropy(model(rows.inputs), FULL.targets[10:14])
    torch.testing.assert_close(objective("hard", SECTION, ANSWERS)(model, rows), wanted)


def test_a_student_that_is_trained_against_attacks_has_its_plain_brother_beside_it():
    for method in (
        {"name": "rslad"},
        {"choice": [{"name": "kd"}, {"name": "trades"}]},
        {"name": {"choice": ["kd", "trades"]}},
        {"name": "combine", "parts": [{"name": "kd"}, {"name": "pgd_at"}]},
    ):
        assert arms_of({"method": method}) == ("student", "none", "hard", "plain"), method
    assert arms_of({"method": {"name": "kd"}}) == ("student", "none", "hard")
    assert arms_of({"method": {"name": "rslad"}, "controls": ["none"]}) == ("student", "none")
    section = {"method": {"name": "rslad"}, "epochs": 7}
    assert section_of("plain", section) == {"method": {"name": "kd"}, "epochs": 7}


def test_a_plain_brother_of_a_plain_student_is_refused():
    check({"method": {"name": "rslad"}, "controls": ["none", "plain"]})
    with pytest.raises(SettingsError, match="the method has none"):
        check({"method": {"name": "kd"}, "controls": ["none", "plain"]})
