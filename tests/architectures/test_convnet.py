import pytest
import torch

from stillhouse.architectures.convnet import ConvNet


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 28, 28), (5, 9, 31), (1, 2, 2), (1, 1, 1), (40, 3), (1, 6)]
)
@pytest.mark.parametrize("depth", [1, 4])
def test_any_image_or_series_becomes_logits(shape: tuple[int, ...], depth: int):
    net = ConvNet(width=4, depth=depth).build(shape, 5)
    found = net(torch.rand(3, *shape))
    assert found.shape == (3, 5)
    found.sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_a_series_is_read_along_time():
    net = ConvNet(width=4, depth=2).build((12, 3), 2).eval()
    rows = torch.rand(2, 12, 3)
    assert not torch.allclose(
        net(rows), net(rows[:, torch.randperm(12, generator=torch.Generator().manual_seed(1))])
    )
    assert net.stage1[0].in_channels == 3
