import pytest
import torch
from torch.nn import functional as F

from stillhouse.architectures.tiny_transformer import TinyTransformer
from stillhouse.errors import SettingsError
from stillhouse.models.macs import macs


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 31), (1, 1, 1), (40, 3), (1, 6)])
@pytest.mark.parametrize("patch", [1, 3])
def test_any_image_or_series_becomes_logits(shape: tuple[int, ...], patch: int) -> None:
    net = TinyTransformer(width=8, heads=4, patch=patch, depth=1).build(shape, 5)
    assert net(torch.rand(3, *shape)).shape == (3, 5)


def test_its_attention_is_the_usual_one() -> None:
    net = TinyTransformer(width=8, heads=2, patch=2).build((8, 3), 5)
    attention, tokens = net.block1.attention, torch.rand(2, 4, 8)
    query, key, value = (
        part.unflatten(2, (2, 4)).transpose(1, 2)
        for part in attention.mixed(tokens).chunk(3, dim=2)
    )
    wanted = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(tokens), attention.out(wanted))


def test_arithmetic_of_attention_is_counted() -> None:
    net = TinyTransformer(width=8, depth=1, patch=4).build((1, 8, 8), 2)
    assert (
        macs(net, (1, 8, 8))
        == 4 * 16 * 8 + 4 * (8 * 24 + 8 * 8 + 2 * 8 * 16) + 2 * 4 * 4 * 8 + 8 * 2
    )


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="the width 9 is no multiple of the 2 heads"):
        TinyTransformer(width=9)
    with pytest.raises(SettingsError, match="make 4,096 tokens, more than 1,024"):
        TinyTransformer(patch=1).build((1, 64, 64), 2)
    TinyTransformer(patch=2).build((1, 64, 64), 2)
