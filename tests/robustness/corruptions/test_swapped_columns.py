import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.swapped_columns import LEVELS, SwappedColumns


def test_two_columns_that_may_change_hold_each_others_values():
    rows = torch.arange(5.0).repeat(4000, 1)
    one = torch.ones(5)
    free = torch.tensor([True, True, False, True, True])
    space = Space(one - 99, 99 * one, one, one, free)
    draw = torch.Generator().manual_seed(0)
    found = SwappedColumns().apply(rows, severity=4, space=space, generator=draw)
    moved = (found != rows).sum(1)
    assert set(moved.tolist()) == {0, 2}
    assert abs(float((moved > 0).float().mean()) - LEVELS[3]) < 0.02
    assert torch.equal(found.sort(dim=1).values, rows)
    assert torch.equal(found[:, 2], rows[:, 2])
