import torch
from attacks.linear import linear

from stillhouse.attacks import Threat
from stillhouse.attacks.sparse_rs import SparseRS

WEIGHTS = torch.tensor([4.0, -3.0, 1.0, 0.1, 0.1, 0.1])


def test_it_finds_the_two_cells_that_turn_a_row_and_leaves_the_others_alone():
    inputs = torch.full((4, 6), 0.5)
    model = linear(WEIGHTS, bias=1.9)  # the score is 3.05; the best two cells take 3.5
    found = SparseRS(queries=200)(model, inputs, torch.ones(4, dtype=torch.int64), Threat("l0", 2))
    assert found.success.all()
    assert ((found.inputs != inputs).sum(1) == 2).all()
    assert (found.inputs[:, 0] == 0).all()
    assert (found.inputs[:, 1] == 1).all()
    one = SparseRS(queries=200)(model, inputs, torch.ones(4, dtype=torch.int64), Threat("l0", 1))
    assert not one.success.any()
    assert ((one.inputs != inputs).sum(1) <= 1).all()


def test_a_pixel_has_all_its_channels():
    images = torch.rand(3, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(torch.nn.Flatten(), linear(torch.ones(75), bias=-30.0))
    targets = model(images).argmax(1)
    found = SparseRS(queries=100)(model, images, targets, Threat("l0", 4))
    assert ((found.inputs != images).any(1).flatten(1).sum(1) <= 4).all()
    assert (found.norm > 0).all()
