import pytest
import torch
from torch import nn

from stillhouse.attacks import strided
from stillhouse.attacks.gradient import uphill
from stillhouse.attacks.losses import odds
from stillhouse.attacks.meter import Meter
from stillhouse.attacks.result import UNLIMITED
from stillhouse.attacks.slope import Slope

NETS = {
    "known": nn.Sequential(
        *(nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU()),
        *(nn.Conv2d(8, 4, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 9), nn.ReLU()),
        nn.Linear(9, 3),
    ),
    "planes are the logits": nn.Sequential(
        nn.Conv2d(1, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 2, 2), nn.Flatten()
    ),
    "relu first": nn.Sequential(nn.ReLU(), nn.Flatten(), nn.ReLU(), nn.Linear(144, 3)),
    "unknown": nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(400, 3)),
}


@pytest.mark.parametrize("name", NETS)
def test_it_goes_where_autograd_goes(name, monkeypatch):
    monkeypatch.setattr(strided, "has_bfloat16", lambda: False)
    net = NETS[name].requires_grad_(False)
    inputs, targets = torch.rand(5, 1, 12, 12) - 0.2, torch.tensor([0, 1, 2, 0, 1])
    kept = inputs.clone()
    asked = Meter(net, UNLIMITED)
    slope = Slope.of(asked, inputs, asked)
    assert bool(slope.calls) == (name != "unknown")
    before = asked.queries
    ours = slope.uphill(inputs, lambda logits: odds(logits, targets))
    assert asked.queries == before + 5
    assert torch.equal(inputs, kept)
    for own, plain in zip(ours, uphill(net, inputs, lambda z: odds(z, targets)), strict=True):
        torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["known", "planes are the logits"])
def test_rows_that_go_through_a_few_at_a_time_are_all_there(name, monkeypatch):
    monkeypatch.setattr(strided, "has_bfloat16", lambda: False)
    monkeypatch.setattr("stillhouse.attacks.slope._AT_ONCE", 1)
    net = NETS[name].requires_grad_(False)
    inputs, targets = torch.rand(29, 1, 12, 12), torch.arange(29) % 3
    slope = Slope.of(net, inputs, None)
    assert slope.few == 8
    ours = slope.uphill(inputs, lambda logits: odds(logits, targets))
    for own, plain in zip(ours, uphill(net, inputs, lambda z: odds(z, targets)), strict=True):
        torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-4)


def test_a_model_that_learns_is_left_to_autograd():
    net, rows = NETS["relu first"], torch.rand(2, 1, 12, 12)
    assert Slope.of(net.requires_grad_(False), rows, None).calls
    assert not Slope.of(net.requires_grad_(True), rows, None).calls
    assert not Slope.of(net.requires_grad_(False), rows[:0], None).calls
