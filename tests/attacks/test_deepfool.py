import pytest
import torch
from attacks.linear import OPEN, linear, rows_at

from stillhouse.attacks.deepfool import deepfool
from stillhouse.attacks.threat import Threat


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_model_one_step_crosses_at_the_distance_of_the_boundary(norm):
    weights, distances = torch.tensor([1.0, -2.0, 0.5, 4.0]), torch.tensor([0.3, -0.7, 1.5])
    inputs, targets = rows_at(distances, weights, norm)
    threat = Threat(norm, 10.0, OPEN)
    found = deepfool(linear(weights), inputs, targets, threat, steps=1)
    torch.testing.assert_close(
        threat.size(found, inputs), 1.02 * distances.abs(), rtol=0.01, atol=0
    )
    assert (linear(weights)(found).argmax(dim=1) != targets).all()


def test_what_lies_further_than_the_ball_is_pulled_back_into_it():
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0])
    inputs, targets = rows_at(torch.tensor([0.3, 2.0]), weights, "l2")
    threat = Threat("l2", 0.5, OPEN)
    found = deepfool(linear(weights), inputs, targets, threat)
    torch.testing.assert_close(
        threat.size(found, inputs), torch.tensor([0.306, 0.5]), rtol=0.01, atol=0
    )
    assert ((linear(weights)(found).argmax(dim=1) == targets) == torch.tensor([False, True])).all()
