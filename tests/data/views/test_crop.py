import torch
from data.views.seen import IMAGE, look, rows

from stillhouse.data.views.crop import Crop


def test_the_whole_image_is_the_image() -> None:
    torch.testing.assert_close(look(Crop(least=1.0), IMAGE), rows(IMAGE), atol=1e-5, rtol=0)


def test_a_ramp_keeps_its_direction_and_loses_some_of_its_range() -> None:
    ramp = torch.linspace(0, 1, 5).expand(50, 2, 6, 5)
    found = Crop(least=0.5)(ramp, IMAGE, torch.Generator().manual_seed(0))
    assert (found.diff(dim=3) >= -1e-6).all()
    width = found[:, 0, 0, -1] - found[:, 0, 0, 0]
    assert width.max() < 1
    assert width.min() > 0.2
