import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.glass_blur import GlassBlur


def test_an_edge_is_frayed_and_a_plain_image_stays_plain():
    draw = torch.Generator().manual_seed(0)
    plain = torch.full((2, 1, 12, 12), 0.4)
    found = GlassBlur().apply(plain, severity=5, space=Space.box(), generator=draw)
    torch.testing.assert_close(found, plain)
    edge = plain.clone()
    edge[..., 6:] = 1.0
    found = GlassBlur().apply(edge, severity=5, space=Space.box(), generator=draw)
    torch.testing.assert_close(found[..., 0], edge[..., 0], atol=1e-3, rtol=0)
    assert found[..., 6].std() > 0.02  # along the edge, which was straight
