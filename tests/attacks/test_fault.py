import pytest
import torch
from torch import nn

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.fault import Fault
from stillhouse.attacks.warps import rates, skewed
from stillhouse.errors import UsageError

ONE = torch.ones(1, 4)
OPEN = Space(-90 * ONE, 90 * ONE, ONE, 2 * ONE, ONE.bool())
SERIES = torch.randn(60, 30, 4, generator=torch.Generator().manual_seed(0))


class Ends(nn.Module):
    """Weighs the last value of each channel."""

    weights = torch.tensor([1.0, -2.0, 0.5, -1.0])

    def forward(self, series):
        told = series[:, -1] @ self.weights
        return torch.stack([-told, told], dim=1)


def test_the_worst_drift_of_a_linear_model_is_found_exactly():
    """All channels at an end, each against its weight: a margin falls by 2 · ε · σ · Σ|w|."""
    model, targets = Ends(), (Ends()(SERIES)[:, 1] > 0).long()
    reach = 0.3 * 2 * float(Ends.weights.abs().sum())
    found = Fault()(model, SERIES, targets, Threat("drift", 0.3, OPEN))
    can = model(SERIES)[:, 1].abs() < reach
    assert torch.equal(found.success, can)
    assert 0 < can.sum() < len(can)


class Late(nn.Module):
    """Asks whether the series has risen by the middle of the time."""

    def forward(self, series):
        told = series[:, 15].mean(1)
        return torch.stack([-told, told], dim=1)


def test_the_worst_clock_is_the_worst_of_its_grid():
    targets = (Late()(SERIES)[:, 1] > 0).long()
    found = Fault()(Late(), SERIES, targets, Threat("skew", 0.2, OPEN))
    fooled = torch.stack(
        [Late()(skewed(SERIES, rate, OPEN)).argmax(1) != targets for rate in rates(0.2)]
    ).any(0)
    assert torch.equal(found.success, fooled)
    assert fooled.any()


def test_a_clock_that_runs_backwards_is_refused():
    targets = torch.zeros(60, dtype=torch.int64)
    Fault()(Late(), SERIES, targets, Threat("skew", 0.5, OPEN))
    with pytest.raises(UsageError, match="backwards"):
        Fault()(Late(), SERIES, targets, Threat("skew", 1.5, OPEN))
