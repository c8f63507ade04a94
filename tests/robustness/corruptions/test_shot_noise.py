import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.shot_noise import LEVELS, ShotNoise


def test_mean_and_variance_are_those_of_counted_photons():
    images = torch.full((1, 1, 200, 200), 0.6)
    found = ShotNoise().apply(
        images, severity=3, space=Space.box(), generator=torch.Generator().manual_seed(0)
    )
    assert abs(float(found.mean()) - 0.6) < 0.01
    assert abs(float(found.var()) - 0.6 / LEVELS[2]) < 0.003


def test_black_stays_black():
    assert (
        not ShotNoise()
        .apply(torch.zeros(1, 1, 8, 8), severity=5, space=Space.box(), generator=torch.Generator())
        .any()
    )
