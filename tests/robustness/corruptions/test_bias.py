import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.bias import LEVELS, Bias


def test_each_channel_is_off_by_one_amount_for_the_whole_row():
    space, draw = Space.box(-99, 99), torch.Generator().manual_seed(0)
    found = Bias().apply(torch.zeros(30, 5, 2), severity=4, space=space, generator=draw)
    assert (found == found[:, :1]).all()
    assert set(found.unique().tolist()) == {-LEVELS[3], LEVELS[3]}
