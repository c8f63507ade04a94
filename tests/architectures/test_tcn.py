import pytest
import torch

from stillhouse.architectures.tcn import TCN


@pytest.mark.parametrize("shape", [(40, 3), (1, 6), (5, 1)])
@pytest.mark.parametrize("depth", [1, 5])
def test_any_series_becomes_logits(shape: tuple[int, ...], depth: int) -> None:
    assert TCN(width=4, depth=depth).build(shape, 5)(torch.rand(3, *shape)).shape == (3, 5)


def test_no_step_sees_a_later_one_and_the_last_sees_far_back() -> None:
    net = TCN(width=8, depth=3).build((40, 2), 2).eval()
    blocks = torch.nn.Sequential(*list(net.children())[:-2])
    rows = torch.rand(1, 40, 2, requires_grad=True)
    blocks(rows)[0, :, 30].sum().backward()
    seen = rows.grad[0].abs().sum(dim=1) > 0
    assert not seen[31:].any()
    assert seen[30]
    assert not seen[: 30 - 2 * 2 * 7].any()
    assert seen[30 - 2 * 2 * 7 + 1 : 30].any()
