import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.spatter import LEVELS, WATER, Spatter


def test_that_share_of_the_lens_is_wet_and_the_rest_dry():
    found = Spatter().apply(
        torch.zeros(4, 3, 40, 40),
        severity=4,
        space=Space.box(),
        generator=torch.Generator().manual_seed(0),
    )
    wet = found[:, 0] > WATER[0] / 2
    assert abs(float(wet.float().mean()) - LEVELS[3]) < 0.01
    assert (found == 0).float().mean() > 0.6
    torch.testing.assert_close(found.amax(dim=(0, 2, 3)), torch.tensor(WATER))
