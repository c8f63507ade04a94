import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.frost import LEVELS, Frost


def test_ice_lies_in_ridges_over_what_is_left_of_the_image():
    found = Frost().apply(
        torch.zeros(2, 1, 32, 32),
        severity=5,
        space=Space.box(),
        generator=torch.Generator().manual_seed(0),
    )
    assert found.amin() >= 0
    assert 0.9 * LEVELS[4][1] < float(found.amax()) <= LEVELS[4][1] + 1e-6
    assert found.std() > 0.05
    lit = Frost().apply(
        torch.ones(2, 1, 32, 32),
        severity=5,
        space=Space.box(),
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(lit - found, torch.full_like(lit, LEVELS[4][0]))
