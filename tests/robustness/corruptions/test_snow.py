import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.snow import LEVELS, Snow


def test_flakes_fall_on_a_paler_image_and_nothing_gets_darker():
    images = torch.full((2, 1, 40, 40), 0.2)
    found = Snow().apply(
        images, severity=2, space=Space.box(), generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(found.amin(), torch.tensor(0.2 + LEVELS[1][1] * 0.8))
    assert found.amax() > 0.9
    assert 0.02 < float((found > 0.5).float().mean()) < 0.4
