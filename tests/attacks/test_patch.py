import torch
from torch import nn

from stillhouse.attacks import Threat
from stillhouse.attacks.patch import Patch


class Corner(nn.Module):
    """Class 1 while the last two rows and columns are bright."""

    def forward(self, inputs):
        score = inputs[:, :, -2:, -2:].mean(dim=(1, 2, 3)) - 0.3
        return torch.stack([torch.zeros_like(score), score], dim=1)


def test_the_patch_finds_the_corner_and_is_no_larger_than_allowed():
    images = torch.full((6, 1, 10, 10), 0.5)
    targets = torch.ones(6, dtype=torch.int64)
    found = Patch(queries=400)(Corner(), images, targets, Threat("patch", 0.3))
    assert found.success.all()
    assert (found.norm <= 0.3).all()
    changed = (found.inputs != images).flatten(2).sum(2)[:, 0]
    assert (changed <= 9).all()


def test_where_no_patch_fits_nothing_is_changed():
    images = torch.full((2, 1, 4, 4), 0.5)
    found = Patch(queries=20)(Corner(), images, torch.ones(2).long(), Threat("patch", 0.2))
    assert torch.equal(found.inputs, images)


def test_of_a_series_it_is_a_stretch_of_time_with_all_channels():
    rows = torch.full((4, 20, 3), 0.5)

    class Last(nn.Module):
        def forward(self, inputs):
            score = inputs[:, -2:].mean(dim=(1, 2)) - 0.3
            return torch.stack([torch.zeros_like(score), score], dim=1)

    found = Patch(queries=200)(Last(), rows, torch.ones(4).long(), Threat("patch", 0.2))
    assert found.success.all()
    assert ((found.inputs != rows).any(2).sum(1) <= 4).all()
