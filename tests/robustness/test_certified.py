import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robustness.nets import blobs, bounds, net
from torch import nn

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.cascade import Cascade
from stillhouse.robustness.case import Ball, make_cases
from stillhouse.robustness.certified import certify
from stillhouse.robustness.intervals import Unbounded
from stillhouse.robustness.subject import Subject
from stillhouse.robustness.suite import Suite, examine


def subject(model):
    inputs, targets = blobs()
    return Subject(model, lambda x: model(x).detach(), inputs, targets, Space.box(), 0)


def stack(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.BatchNorm2d(3), nn.LeakyReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4),
        )  # fmt: skip
        made[1].running_mean.normal_()
        made[1].running_var.uniform_(0.5, 2)
        nn.init.normal_(made[1].weight)  # also negative factors
    return made.eval()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.5))
def test_no_row_of_the_box_answers_outside_the_bounds(seed, reach):
    draw = torch.Generator().manual_seed(seed)
    model, middle = stack(seed % 7), torch.rand(3, 2, 8, 8, generator=draw)
    with torch.no_grad():
        low, high = bounds(model, middle - reach, middle + reach)
        for _ in range(5):
            inside = middle + reach * (2 * torch.rand(middle.shape, generator=draw) - 1)
            answer = model(inside)
            assert (answer >= low - 1e-4).all()
            assert (answer <= high + 1e-4).all()


def test_of_a_linear_model_the_bounds_are_exact():
    model = nn.Linear(3, 2)
    middle = torch.rand(4, 3)
    with torch.no_grad():
        low, high = bounds(model, middle - 0.2, middle + 0.2)
        reach = 0.2 * model.weight.abs().sum(1)
        torch.testing.assert_close(low, model(middle) - reach)
        torch.testing.assert_close(high, model(middle) + reach)


def test_a_layer_without_bounds_is_named():
    with pytest.raises(Unbounded, match="GRU"):
        bounds(nn.Sequential(nn.GRU(3, 4)), torch.zeros(1, 2, 3), torch.ones(1, 2, 3))
    who = subject(nn.Sequential(nn.Softmin(dim=1)))
    found, why = certify(Ball("linf", 0.1), who, torch.ones(240, dtype=torch.bool))
    assert found is None
    assert "Softmin" in why


def test_no_attack_moves_a_row_that_is_certified_and_the_bracket_holds_the_truth():
    who = subject(net())
    every = torch.ones(240, dtype=torch.bool)
    found, _ = certify(Ball("linf", 0.05), who, every)
    half, _ = certify(Ball("linf", 0.05), who, torch.arange(240) < 120)
    assert torch.equal(half.holds, found.holds & (torch.arange(240) < 120))
    none, _ = certify(Ball("linf", 0.05), who, ~every)
    assert not none.holds.any()
    assert 0 < int(found.holds.sum()) < len(found.holds)
    attacked = Cascade(steps=20, queries=200)(
        who.model, who.inputs, who.targets, Threat("linf", 0.05)
    )
    assert not (found.holds & attacked.success).any()
    cases = make_cases([{"name": "pgd", "norm": "linf", "epsilon": 0.05}], "a")
    told = examine(who, Suite(cases, {}, None), lambda *a: None)
    bracket = told.as_dict(0)["certified"]
    assert bracket["method"] == "linear bounds"
    assert 0 < bracket["certified"][1] <= bracket["attacked"][1] < 1
    assert told.metrics()["robust/certified/accuracy"] == bracket["certified"][1]
