import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.dropout import Dropout


def test_each_channel_is_silent_for_one_stretch():
    found = Dropout().apply(
        torch.ones(30, 20, 2),
        severity=4,
        space=Space.box(),
        generator=torch.Generator().manual_seed(0),
    )
    assert ((found == 0).sum(dim=1) == 6).all()
    begins = ((found[:, 1:] == 0) & (found[:, :-1] == 1)).sum(dim=1) + (found[:, 0] == 0)
    assert (begins == 1).all()
    assert (found[:, 0] == 0).any()
    assert (found[:, -1] == 0).any()
