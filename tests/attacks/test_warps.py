import pytest
import torch

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.warps import drifted, rates, skewed
from stillhouse.robustness.corruptions.clock_skew import LEVELS, ClockSkew
from stillhouse.robustness.corruptions.drift import Drift

SERIES = 3 * torch.randn(5, 40, 2, generator=torch.Generator().manual_seed(0)) + 20
SERIES[0, 7, 0] = torch.nan
DEVIATION = torch.tensor([[3.0, 3.0]])
ONE = torch.ones(1, 2)
OPEN = Space(-90 * ONE, 90 * ONE, ONE, DEVIATION, ONE.bool())
TIGHT = Space(0 * ONE, 22 * ONE, ONE, DEVIATION, ONE.bool())


@pytest.mark.parametrize("space", [OPEN, TIGHT], ids=["open", "cut at the bounds"])
def test_a_drift_is_measured_as_it_was_made_also_where_it_was_cut(space):
    ends = torch.tensor([[0.5, -1.0]]).expand(5, 2)
    told = Threat("drift", 1.0, space).size(drifted(SERIES, ends, space), SERIES)
    if space is OPEN:
        torch.testing.assert_close(told, torch.ones(5), rtol=1e-4, atol=0)
    assert (told <= 1 + 1e-5).all()
    assert Threat("drift", 1.0, space).allows(drifted(SERIES, ends, space), SERIES).all()
    assert not Threat("drift", 0.8, OPEN).allows(drifted(SERIES, ends, OPEN), SERIES).any()


def test_what_is_no_straight_line_is_no_drift():
    bent = SERIES.clone()
    bent[:, 5] += 0.1
    assert Threat("drift", 5.0, OPEN).size(bent, SERIES).isinf().all()
    fixed = Space(OPEN.low, OPEN.high, ONE, DEVIATION, torch.tensor([[True, False]]))
    assert Threat("drift", 5.0, fixed).size(SERIES + 0.1, SERIES).isinf().all()
    assert Threat("drift", 5.0, OPEN).size(SERIES, SERIES).tolist() == [0.0] * 5


def test_the_corruption_of_that_name_lies_inside():
    made = Drift().apply(SERIES, severity=3, space=OPEN, generator=torch.Generator().manual_seed(1))
    assert Threat("drift", 1.0, OPEN).allows(made, SERIES).all()
    assert not Threat("drift", 0.9, OPEN).allows(made, SERIES).any()


def test_a_clock_of_every_rate_of_the_grid_is_recognised_and_no_other_change_is():
    threat = Threat("skew", 0.2, OPEN)
    for rate in rates(0.2):
        told = threat.size(skewed(SERIES, rate, OPEN), SERIES)
        torch.testing.assert_close(told, torch.full((5,), abs(rate)))
    assert len(rates(0.2)) == 40
    assert not threat.allows(skewed(SERIES, 0.21, OPEN), SERIES).any()
    assert threat.size(SERIES, SERIES).tolist() == [0.0] * 5


def test_a_skewed_series_is_that_of_the_corruption():
    draw = torch.Generator().manual_seed(0)
    made = ClockSkew().apply(SERIES, severity=4, space=OPEN, generator=draw)
    both = torch.stack([skewed(SERIES, sign * LEVELS[3], OPEN) for sign in (-1, 1)])
    same = ((both == made) | (both.isnan() & made.isnan())).flatten(2).all(2)
    assert same.any(0)[1:].all()  # the first row has a gap, which stays one here
    assert skewed(SERIES, 0.3, OPEN).isnan().equal(SERIES.isnan())


@pytest.mark.parametrize("norm", ["drift", "skew", "channels"])
def test_rows_that_are_no_series_have_no_such_change(norm):
    table = torch.rand(3, 4)
    assert Threat(norm, 0.5).size(table, table).tolist() == [0.0] * 3
    assert Threat(norm, 0.5).size(table + 0.1, table).isinf().all()
