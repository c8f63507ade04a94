import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.clock_skew import ClockSkew


def test_a_straight_line_gets_another_slope():
    line = torch.arange(20.0)[None, :, None].expand(40, -1, 1)
    draw = torch.Generator().manual_seed(0)
    found = ClockSkew().apply(line, severity=3, space=Space.box(-99, 99), generator=draw)[..., 0]
    slopes = (found[:, 10] - found[:, 0]) / 10
    assert {round(value, 5) for value in slopes.tolist()} == {0.9, 1.1}
    assert (found[:, -1] <= 19).all()
