import pytest
import torch
from torch import nn

from stillhouse.attacks import strided
from stillhouse.attacks.first_layer import FirstLayer

LAYERS = [
    nn.Conv2d(8, 6, 4, stride=2, padding=1),
    nn.Conv2d(8, 6, 3, stride=2, padding=1),
    nn.Conv2d(8, 6, (3, 5), stride=3, padding=(0, 2), bias=False),
    nn.Conv2d(8, 6, 1, stride=2),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_gradient_is_the_librarys_own(layer):
    layer.requires_grad_(False)
    inputs = torch.rand(3, 8, 13, 12, requires_grad=True)
    outer = torch.rand_like(layer(inputs))
    [plain] = torch.autograd.grad(layer(inputs), inputs, outer)
    ours = strided.gradient(outer, layer.weight, layer.stride[0], layer.padding, inputs.shape[-2:])
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_answers_are_exact_and_directions_nearly(layer, monkeypatch):
    monkeypatch.setattr(strided, "has_bfloat16", lambda: True)
    layer.requires_grad_(False)
    inputs = torch.rand(3, 8, 13, 12, requires_grad=True)
    with FirstLayer():
        made = layer(inputs)
    assert torch.equal(made, layer(inputs))
    outer = torch.rand_like(made)
    [ours] = torch.autograd.grad(made, inputs, outer)
    [plain] = torch.autograd.grad(layer(inputs), inputs, outer)
    torch.testing.assert_close(ours, plain, atol=0.03, rtol=0.03)
    assert ours.dtype == torch.float32


@pytest.mark.parametrize(
    ("layer", "suits"),
    [
        (nn.Conv2d(8, 6, 3, stride=2), True),
        (nn.Conv2d(8, 6, 3), False),
        (nn.Conv2d(2, 6, 3, stride=2), False),
        (nn.Conv2d(8, 6, 3, stride=(2, 1)), False),
        (nn.Conv2d(8, 6, 3, stride=2, dilation=2), False),
        (nn.Conv2d(8, 8, 3, stride=2, groups=2), False),
    ],
    ids=str,
)
def test_it_is_used_where_it_pays(layer, suits, monkeypatch):
    layer.requires_grad_(False)
    told = (torch.rand(1, 8, 9, 9, requires_grad=True), layer.weight, layer.bias, layer.stride)
    told = (*told, layer.padding, layer.dilation, layer.groups)
    monkeypatch.setattr(strided, "has_bfloat16", lambda: True)
    assert strided.suits(*told) is suits
    monkeypatch.setattr(strided, "has_bfloat16", lambda: False)
    assert not strided.suits(*told)
