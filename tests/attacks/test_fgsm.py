import pytest
import torch
from attacks.linear import OPEN, linear, rows_at

from stillhouse.attacks.fgsm import FGSM
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.threat import Threat

DISTANCES = torch.tensor([0.05, -0.05, 0.09, 0.099, -0.099, 0.101, -0.101, 0.2, -3.0])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_model_it_leaves_exactly_the_rows_outside_the_ball(norm):
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs, targets = rows_at(DISTANCES, weights, norm)
    found = run_attack(
        FGSM(),
        linear(weights),
        inputs,
        targets,
        threat=Threat(norm, 0.1, OPEN),
        generator=torch.Generator(),
    )
    assert found.still_correct.tolist() == (DISTANCES.abs() > 0.1).tolist()


def test_one_linf_step_is_epsilon_times_the_sign():
    weights = torch.tensor([1.0, -2.0])
    moved = FGSM().perturb(
        linear(weights),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([1]),
        threat=Threat("linf", 0.25, OPEN),
        generator=torch.Generator(),
    )
    torch.testing.assert_close(moved, torch.tensor([[0.75, 0.25]]))


def test_one_l2_step_is_epsilon_long_and_against_the_weights():
    weights = torch.tensor([3.0, -4.0])
    moved = FGSM().perturb(
        linear(weights),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([1]),
        threat=Threat("l2", 0.5, OPEN),
        generator=torch.Generator(),
    )
    torch.testing.assert_close(moved, torch.tensor([[1.0 - 0.3, 0.4]]))
