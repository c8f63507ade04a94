import math

import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.motion_blur import MotionBlur, strokes


def test_a_level_stroke_is_one_row_of_the_kernel_and_an_upright_one_a_column():
    level, upright = strokes(torch.tensor([0.0, math.pi / 2]), 3.0)
    middle = len(level) // 2
    torch.testing.assert_close(level[middle].sum(), torch.tensor(1.0))
    torch.testing.assert_close(upright, level.T, atol=1e-6, rtol=0)
    assert (level[middle] > 0).sum() == 3


def test_each_row_moves_its_own_way():
    points = torch.zeros(4, 1, 9, 9)
    points[:, :, 4, 4] = 1
    found = MotionBlur().apply(
        points, severity=5, space=Space.box(), generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), torch.ones(4))
    assert not torch.allclose(found[0], found[1])
