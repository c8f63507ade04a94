import math

import torch

from stillhouse.robustness.corruptions.blur import Blur, gaussian_blur


def test_a_point_becomes_the_gaussian():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    found = gaussian_blur(image, 1.0)[0, 0]
    total = sum(math.exp(-(k**2) / 2) for k in range(-3, 4))
    for row, column in ((4, 4), (4, 5), (5, 5), (2, 4)):
        expected = math.exp(-((row - 4) ** 2 + (column - 4) ** 2) / 2) / total**2
        torch.testing.assert_close(float(found[row, column]), expected, rtol=1e-5, atol=1e-7)
    assert found[4, 0] == 0  # cut at three deviations


def test_a_flat_image_stays_flat_to_its_edges():
    torch.testing.assert_close(
        gaussian_blur(torch.full((2, 3, 4, 5), 0.7), 1.3), torch.full((2, 3, 4, 5), 0.7)
    )


def test_it_takes_images_only():
    assert Blur.accepts == {"image"}
