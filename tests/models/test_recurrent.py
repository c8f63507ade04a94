import pytest
import torch
from torch import nn

from stillhouse.models.recurrent import traced


@pytest.mark.parametrize(("depth", "both_ways"), [(1, False), (2, False), (2, True)])
def test_what_is_exported_computes_what_torch_does(depth: int, both_ways: bool) -> None:
    layer = nn.GRU(3, 5, num_layers=depth, batch_first=True, bidirectional=both_ways).eval()
    rows = torch.rand(4, 9, 3)
    torch.testing.assert_close(traced(layer, rows), layer(rows)[0])
