import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.contrast import Contrast


def test_it_keeps_the_mean_of_each_image_and_channel_and_a_share_of_the_rest():
    images = torch.tensor([[[[0.0, 1.0]], [[0.2, 0.4]]]])
    found = Contrast().apply(images, severity=2, space=Space.box(), generator=torch.Generator())
    torch.testing.assert_close(found, torch.tensor([[[[0.25, 0.75]], [[0.25, 0.35]]]]))


def test_it_takes_images_only():
    assert Contrast.accepts == {"image"}
