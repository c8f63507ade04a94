import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import corrupt
from stillhouse.robustness.corruptions.unit_errors import FACTORS, LEVELS, UnitErrors


def test_that_share_of_cells_is_off_by_one_of_the_factors():
    found = UnitErrors().apply(
        torch.ones(3000, 4),
        severity=4,
        space=Space.box(),
        generator=torch.Generator().manual_seed(0),
    )
    assert {round(value, 4) for value in found.unique().tolist()} == {1.0, *FACTORS}
    assert abs(float((found != 1).float().mean()) - LEVELS[3]) < 0.01


def test_what_the_bounds_do_not_let_in_arrives_as_the_bound():
    found = corrupt(
        UnitErrors(),
        torch.ones(3000, 4),
        severity=5,
        space=Space.box(0.0, 5.0),
        generator=torch.Generator().manual_seed(0),
    )
    assert found.max() == 5
