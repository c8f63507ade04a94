import pytest
import torch

from stillhouse.edge.exporter import ExportFailed
from stillhouse.edge.parity import parity, require

LOGITS = torch.tensor([[1.0, 0.0], [0.0, 20.0]])


def test_it_tells_the_largest_error_and_the_share_of_equal_decisions():
    found = parity(LOGITS, LOGITS + torch.tensor([[0.0, 1.5], [0.0, 0.0]]))
    assert (found.max_error, found.agreement) == (1.5, 0.5)


def test_an_error_above_the_tolerance_is_refused_and_one_below_is_not():
    found = parity(LOGITS, LOGITS + 0.001)
    require(found, LOGITS, 1e-4)  # 20 x 1e-4 = 0.002
    with pytest.raises(ExportFailed, match="differs"):
        require(found, LOGITS, 1e-5)


@pytest.mark.parametrize("bad", [torch.full((2, 2), torch.nan), torch.zeros(2, 3)])
def test_answers_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(ExportFailed):
        parity(LOGITS, bad)
