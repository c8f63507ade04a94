import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.impulse_noise import LEVELS, ImpulseNoise


def test_that_share_of_pixels_is_black_or_white_and_the_rest_as_it_was():
    found = ImpulseNoise().apply(
        torch.full((1, 3, 200, 200), 0.6),
        severity=4,
        space=Space.box(),
        generator=torch.Generator().manual_seed(0),
    )
    hit = found != 0.6
    assert set(found[hit].tolist()) == {0.0, 1.0}
    assert abs(float(hit.float().mean()) - LEVELS[3]) < 0.01
    assert abs(float(found[hit].mean()) - 0.5) < 0.02
