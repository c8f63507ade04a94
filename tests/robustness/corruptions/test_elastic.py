import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.elastic import LEVELS, Elastic


def test_pixels_move_as_far_as_the_level_says():
    ramp = (
        torch.arange(33.0).view(1, 1, 1, 33).expand(1, 1, 33, 33) / 32
    )  # a pixel's value tells where it came from
    found = Elastic().apply(
        ramp.contiguous(), severity=4, space=Space.box(), generator=torch.Generator().manual_seed(0)
    )
    moved = ((found - ramp) * 32)[..., 4:-4, 4:-4]
    assert 0.5 * LEVELS[3] < float(moved.square().mean().sqrt()) < 1.5 * LEVELS[3]
    assert moved.diff(dim=-1).abs().mean() < 0.6  # neighbours move together


def test_a_flat_image_stays_flat():
    images = torch.full((2, 1, 8, 9), 0.4)
    torch.testing.assert_close(
        Elastic().apply(images, severity=5, space=Space.box(), generator=torch.Generator()), images
    )
