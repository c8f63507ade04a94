import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.speckle_noise import LEVELS, SpeckleNoise


def test_the_noise_is_a_share_of_the_light():
    images = torch.cat([torch.full((1, 1, 60, 60), 0.2), torch.full((1, 1, 60, 60), 0.8)])
    draw = torch.Generator().manual_seed(0)
    found = SpeckleNoise().apply(images, severity=3, space=Space.box(), generator=draw)
    shares = (found - images).flatten(1).std(dim=1) / images.flatten(1)[:, 0]
    torch.testing.assert_close(shares, torch.full((2,), LEVELS[2]), rtol=0.05, atol=0)
