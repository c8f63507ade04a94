import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.zoom_blur import ZoomBlur


def test_the_middle_stays_and_the_edge_moves():
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, 4, 4] = images[0, 0, 4, 8] = 1
    found = ZoomBlur().apply(images, severity=3, space=Space.box(), generator=torch.Generator())[
        0, 0
    ]
    assert found[4, 4] > 0.7
    assert found[4, 8] < 0.7
    torch.testing.assert_close(found, found.flip(0))


def test_a_flat_image_stays_flat():
    images = torch.full((2, 1, 8, 9), 0.4)
    torch.testing.assert_close(
        ZoomBlur().apply(images, severity=5, space=Space.box(), generator=torch.Generator()), images
    )
