import pytest
import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import corrupt
from stillhouse.robustness.corruptions.missing_cells import LEVELS, MissingCells


@pytest.mark.parametrize("severity", [1, 5])
def test_that_share_of_cells_is_lost_where_the_schema_lets_them_be(severity):
    one = torch.ones(3)
    # The second column may not be missing; the third may, though nobody may change it.
    space = Space(
        -9 * one,
        9 * one,
        one,
        one,
        torch.tensor([True, True, False]),
        torch.tensor([True, False, True]),
    )
    inputs = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1))
    found = corrupt(
        MissingCells(),
        inputs,
        severity=severity,
        space=space,
        generator=torch.Generator().manual_seed(0),
    )
    share = found.isnan().float().mean(dim=0)
    torch.testing.assert_close(
        share, LEVELS[severity - 1] * torch.tensor([1.0, 0.0, 1.0]), atol=0.03, rtol=0
    )
    assert torch.equal(found[~found.isnan()], inputs[~found.isnan()])
