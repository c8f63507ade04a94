import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.fog import Fog
from stillhouse.robustness.corruptions.plane import clouds


def test_fog_is_the_same_in_all_channels_and_takes_contrast_away():
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[:, 1] = images[:, 0]
    found = Fog().apply(
        images, severity=4, space=Space.box(), generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(found[:, 0], found[:, 1])
    assert found.max() <= 1
    assert (images - found).std() > 0.05


def test_clouds_are_smooth_and_fill_their_range():
    found = clouds(torch.zeros(3, 1, 40, 33), torch.Generator().manual_seed(0), decay=2.5)
    assert found.amin(dim=(1, 2, 3)).tolist() == [0.0] * 3
    torch.testing.assert_close(found.amax(dim=(1, 2, 3)), torch.ones(3))
    assert found.diff(dim=-1).abs().mean() < 0.3 * found.std()
    assert not torch.equal(found[0], found[1])
