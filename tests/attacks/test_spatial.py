import torch
from torch import nn

from stillhouse.attacks import Threat
from stillhouse.attacks.geometry import Move, move, moves
from stillhouse.attacks.spatial import Spatial


def test_a_shift_by_whole_pixels_moves_them_and_a_turn_of_nothing_is_the_image():
    image = torch.rand(1, 2, 10, 10)
    right = move(image, Move(0.0, 0.0, 1.0))  # a tenth of ten pixels
    torch.testing.assert_close(right[..., 1:], image[..., :-1])
    assert (right[..., 0] == 0).all()
    down = move(image, Move(0.0, 1.0, 0.0))
    torch.testing.assert_close(down[..., 1:, :], image[..., :-1, :])
    torch.testing.assert_close(move(image, Move(0.0, 0.0, 0.0)), image)


def test_three_turns_of_thirty_degrees_are_a_quarter():
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 7] = 1.0  # to the right of the middle
    turned = move(image, Move(3.0, 0.0, 0.0))
    assert turned[0, 0, 1, 4] > 0.9  # and then above it: counter-clockwise


def test_every_move_of_the_grid_is_allowed_by_its_epsilon_and_a_further_one_is_not():
    assert max(one.size for one in moves(0.5)) == 0.5
    assert len(list(moves(0.5))) == 31 * 5 * 5 - 1


def test_the_worst_move_is_found_and_what_is_no_move_is_not_allowed():
    class Left(nn.Module):
        def forward(self, inputs):
            score = inputs[:, 0, :, :2].sum(dim=(1, 2)) - 0.1
            return torch.stack([-score, score], dim=1)

    images = torch.zeros(2, 1, 10, 10)
    images[0, 0, :, 1], images[1, 0, :, 0] = 1.0, 1.0  # one pixel and two from leaving the left
    threat = Threat("geometry", 1.0)
    found = Spatial()(Left(), images, torch.ones(2).long(), threat)
    assert found.success.all()
    assert (found.norm <= 1).all()
    other = images.clone()
    other[0, 0, 0, 0] = 0.5
    assert threat.allows(other, images).tolist() == [False, True]
    assert torch.equal(threat.project(other, images), images)
