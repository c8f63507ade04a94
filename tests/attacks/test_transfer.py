import pytest
import torch
from attacks.linear import OPEN, linear, rows_at

from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat
from stillhouse.attacks.transfer import Transfer
from stillhouse.errors import UsageError

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
