import pytest
import torch
from torch import nn

from stillhouse.attacks.first_layer import FirstLayer, gradient


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 16, 4, stride=2, padding=1),
        nn.Conv2d(3, 8, 3, dilation=2, padding=2),
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), bias=False),
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Conv2d(3, 4, (3, 2), padding=(2, 0)),
        nn.Conv2d(16, 4, 3),
    ],
)
def test_the_gradient_is_the_librarys_own(layer):
    layer.requires_grad_(False)
    inputs = torch.rand(5, layer.in_channels, 13, 12, requires_grad=True)
    weights = torch.rand_like(layer(inputs))
    [plain] = torch.autograd.grad(layer(inputs), inputs, weights)
    with FirstLayer():
        made = layer(inputs)
    assert torch.equal(made, layer(inputs))
    [ours] = torch.autograd.grad(made, inputs, weights)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_the_sum_over_a_filters_places_is_folds_to_the_last_bit():
    layer = nn.Conv2d(3, 4, (3, 2), padding=(2, 1))
    outer = torch.randn_like(layer(torch.rand(5, 3, 9, 8))).detach()
    weight, size = layer.weight.detach(), torch.Size((9, 8))
    ours = gradient(outer, weight, size, ((1, 1), (2, 1), (1, 1)))
    columns = weight.flatten(1).t() @ outer.flatten(2)
    assert torch.equal(ours, nn.functional.fold(columns, size, (3, 2), padding=(2, 1)))


def test_a_layer_that_learns_is_left_to_the_library():
    layer, inputs = nn.Conv2d(1, 2, 3), torch.rand(1, 1, 5, 5, requires_grad=True)
    with FirstLayer():
        layer(inputs).sum().backward()
    assert layer.weight.grad is not None
