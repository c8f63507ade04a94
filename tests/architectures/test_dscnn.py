import pytest
import torch

from stillhouse.architectures.convnet import ConvNet
from stillhouse.architectures.dscnn import DSCNN
from stillhouse.models.macs import macs


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 31), (1, 1, 1), (40, 3), (1, 6)])
@pytest.mark.parametrize("depth", [1, 5])
def test_any_image_or_series_becomes_logits(shape: tuple[int, ...], depth: int) -> None:
    assert DSCNN(width=4, depth=depth).build(shape, 5)(torch.rand(3, *shape)).shape == (3, 5)


def test_a_block_costs_a_fraction_of_a_plain_convolution() -> None:
    net = DSCNN(width=32, depth=1).build((1, 8, 8), 2)
    assert net.block1[0].groups == 32
    assert macs(net, (1, 8, 8)) == 4 * 4 * 32 * (9 + 9 + 32) + 32 * 2
    assert (
        macs(DSCNN(width=32, depth=4).build((3, 32, 32), 10), (3, 32, 32))
        < macs(ConvNet(width=32, depth=2).build((3, 32, 32), 10), (3, 32, 32)) / 3
    )
