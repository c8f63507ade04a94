import math

import pytest
import torch
from scipy import stats

from stillhouse.robustness.smoothing import ABSTAIN, predict, smooth


def half(inputs):
    """Class 1 above 0: smoothed by noise of σ, the radius at x is |x| exactly."""
    return torch.stack([-inputs[:, 0], inputs[:, 0]], dim=1)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_certified_radius_lies_below_the_true_one_and_close_to_it():
    rows = torch.tensor([[0.5], [-0.3], [0.2]])
    found = smooth(half, rows, sigma=0.5, generator=draw(), samples=20_000)
    assert found.classes.tolist() == [1, 0, 1]
    true = rows[:, 0].abs()
    assert (found.radius <= true).all()
    torch.testing.assert_close(found.radius, true, atol=0.03, rtol=0)
    assert found.accuracy(torch.tensor([1, 0, 1]), 0.25) == pytest.approx(2 / 3)
    assert found.accuracy(torch.tensor([1, 1, 1]), 0.1) == pytest.approx(2 / 3)


def test_on_the_boundary_it_abstains():
    found = smooth(half, torch.zeros(4, 1), sigma=0.5, generator=draw(), samples=1000)
    assert found.classes.tolist() == [ABSTAIN] * 4
    assert (found.radius == 0).all()
    assert predict(half, torch.zeros(4, 1), sigma=0.5, generator=draw()).tolist() == [ABSTAIN] * 4
    assert predict(half, torch.ones(2, 1), sigma=0.5, generator=draw()).tolist() == [1, 1]


def test_where_every_answer_agrees_the_radius_is_the_tabulated_one():
    # Cohen et al.: with n all alike the bound is α^(1/n)
    found = smooth(
        lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), -1),
        torch.zeros(1, 3),
        sigma=1.0,
        generator=draw(),
        samples=1000,
        alpha=0.001,
    )
    wanted = float(stats.norm.ppf(math.pow(0.001, 1 / 1000)))
    assert float(found.radius[0]) == pytest.approx(wanted)
    assert wanted == pytest.approx(2.46, abs=0.01)


def test_it_is_wrong_no_oftener_than_it_says():
    rows = torch.full((400, 1), 0.05)
    found = smooth(half, rows, sigma=0.5, generator=draw(), samples=400, alpha=0.05)
    too_far = (found.radius > 0.05).double().mean()
    assert float(too_far) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
