import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.saturation import Saturation


def test_values_are_cut_at_a_distance_from_their_mean():
    space = Space(
        torch.tensor(-99.0),
        torch.tensor(99.0),
        torch.tensor(1.0),
        torch.tensor(2.0),
        torch.tensor(True),
    )
    inputs = torch.tensor([0.0, 10.0, 5.0, 6.0, 4.0, torch.nan]).view(1, 6, 1)
    found = Saturation().apply(inputs, severity=3, space=space, generator=torch.Generator())
    torch.testing.assert_close(
        found.flatten(), torch.tensor([3.0, 7.0, 5.0, 6.0, 4.0, torch.nan]), equal_nan=True
    )
