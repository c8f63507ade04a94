import pytest
import torch
from attacks.linear import OPEN, linear, rows_at
from torch import nn

from stillhouse.attacks.eot import EOT
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat
from stillhouse.attacks.transfer import Transfer
from stillhouse.errors import DataError, SettingsError, UsageError

WEIGHTS = torch.tensor([1.0, -2.0, 0.5, 4.0])
DISTANCES = torch.tensor([0.05, -0.05, 0.099, 0.101, -3.0])


def attack(student, surrogate):
    inputs, targets = rows_at(DISTANCES, WEIGHTS, "linf")
    return run_attack(
        Transfer(),
        student,
        inputs,
        targets,
        threat=Threat("linf", 0.1, OPEN),
        generator=torch.Generator().manual_seed(0),
        surrogate=surrogate,
    )


def test_a_student_that_is_its_teacher_falls_to_all_of_the_teachers_rows():
    assert attack(linear(WEIGHTS), linear(WEIGHTS)).still_correct.tolist() == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_a_student_with_other_gradients_is_moved_the_teachers_way():
    other = linear(torch.tensor([4.0, 2.0, 0.0, 0.0]))
    moved = attack(linear(WEIGHTS), other).inputs
    inputs, targets = rows_at(DISTANCES, WEIGHTS, "linf")
    toward = torch.where(targets[:, None] == 1, -1.0, 1.0) * torch.tensor([0.1, 0.1])
    torch.testing.assert_close((moved - inputs)[:, :2], toward, atol=1e-5, rtol=0)


def test_without_a_teacher_that_gives_gradients_it_is_refused_by_name():
    with pytest.raises(UsageError, match="Transfer"):
        attack(linear(WEIGHTS), None)


def alone(model, *surrogates, **settings):
    """As somebody calls it who has two nets and nothing else."""
    inputs, targets = rows_at(DISTANCES, WEIGHTS, "linf")
    return Transfer(surrogates=surrogates, **settings)(
        model, inputs, targets, Threat("linf", 0.1, OPEN)
    )


def test_it_brings_its_own_surrogates_where_they_are_given():
    assert alone(linear(WEIGHTS), linear(WEIGHTS)).success.tolist() == [
        True,
        True,
        True,
        False,
        False,
    ]
    # one that thinks the contrary leads away
    assert not alone(linear(WEIGHTS), linear(-WEIGHTS)).success.any()


def test_a_row_that_any_of_several_surrogates_leads_astray_is_fooled():
    half, rest = torch.tensor([1.0, -2.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.5, 4.0])
    fooled = [alone(linear(WEIGHTS), linear(part)).success for part in (half, rest)]
    both = alone(linear(WEIGHTS), linear(half), linear(rest)).success
    assert (both >= fooled[0] | fooled[1]).all()
    # together they point the whole way, which neither does alone
    assert both.tolist() == [True, True, True, False, False]
    assert not (fooled[0] | fooled[1])[2]


class Opaque(nn.Module):
    """A model without gradients."""

    def forward(self, inputs):
        return linear(WEIGHTS)(inputs).detach()


def test_the_model_under_attack_may_be_a_black_box_and_its_surrogates_may_not():
    assert alone(Opaque(), linear(WEIGHTS)).success.any()
    with pytest.raises(UsageError, match="needs gradients"):
        alone(linear(WEIGHTS), Opaque())


def test_a_surrogate_of_other_classes_is_refused():
    one = nn.Linear(4, 1)
    with pytest.raises(DataError, match=r"\[5, 1\]"):
        alone(linear(WEIGHTS), one)


def test_surrogates_are_left_as_they_were():
    other = linear(WEIGHTS).train()
    alone(linear(WEIGHTS), other)
    assert other.training
    assert all(each.requires_grad for each in other.parameters())


def test_names_are_no_models_yet():
    named = Transfer(surrogates=["none", "hard"])
    assert named.names == ("none", "hard")
    assert not named.brought
    given = named.given({"none": linear(WEIGHTS), "hard": linear(WEIGHTS)})
    assert len(given.brought) == 2
    with pytest.raises(SettingsError, match="no model 'hard'"):
        named.given({"none": linear(WEIGHTS)})
    with pytest.raises(SettingsError, match="another model"):
        Transfer(surrogates=[])


def test_no_mean_is_taken_of_another_models_answers():
    EOT(attack={"name": "pgd"})
    with pytest.raises(SettingsError, match="led by another model"):
        EOT(attack={"name": "transfer"})
