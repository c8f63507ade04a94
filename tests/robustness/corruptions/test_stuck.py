import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.stuck import Stuck


def test_each_channel_keeps_one_value_for_one_stretch():
    inputs = torch.arange(20.0).view(1, 20, 1).expand(9, 20, 2)
    found = Stuck().apply(
        inputs, severity=4, space=Space.box(), generator=torch.Generator().manual_seed(0)
    )
    repeated = (found.diff(dim=1) == 0).sum(dim=1)
    assert (repeated == 9).all()  # ten steps of one value
    assert ((found == inputs).sum(dim=1) == 11).all()


def test_a_missing_value_is_not_held():
    inputs = torch.full((1, 4, 1), torch.nan)
    inputs[0, 3] = 2.0
    found = Stuck().apply(inputs, severity=5, space=Space.box(), generator=torch.Generator())
    assert found[0, 3] == 2.0
