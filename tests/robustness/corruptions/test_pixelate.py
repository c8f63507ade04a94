import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.pixelate import Pixelate, areas


def test_at_half_size_each_square_of_four_pixels_is_its_mean():
    images = torch.rand(2, 3, 8, 12)
    found = Pixelate().apply(images, severity=3, space=Space.box(), generator=torch.Generator())
    means = images.reshape(2, 3, 4, 2, 6, 2).mean(dim=(3, 5))
    torch.testing.assert_close(found, means.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_a_pixel_on_the_border_of_two_stretches_is_shared():
    torch.testing.assert_close(
        areas(3, 2), torch.tensor([[2 / 3, 1 / 3, 0.0], [0.0, 1 / 3, 2 / 3]])
    )
