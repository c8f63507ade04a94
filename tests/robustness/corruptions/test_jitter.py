import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.jitter import LEVELS, Jitter


def test_values_are_read_at_another_moment_the_same_for_all_channels():
    moments = torch.arange(200.0).view(1, 200, 1).expand(5, 200, 2)
    found = Jitter().apply(
        moments, severity=3, space=Space.box(), generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(found[..., 0], found[..., 1])
    late = (found - moments)[:, 5:-5]
    assert abs(float(late.std()) - LEVELS[2]) < 0.1
    assert found.min() >= 0
    assert found.max() <= 199
