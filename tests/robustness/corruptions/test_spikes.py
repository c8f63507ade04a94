import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.spikes import LEVELS, Spikes


def test_that_share_of_values_jumps_by_five_deviations():
    space = Space(
        torch.tensor(-99.0),
        torch.tensor(99.0),
        torch.tensor(1.0),
        torch.tensor(2.0),
        torch.tensor(True),
    )
    found = Spikes().apply(
        torch.zeros(50, 50, 4), severity=4, space=space, generator=torch.Generator().manual_seed(0)
    )
    assert set(found.flatten().tolist()) == {-10.0, 0.0, 10.0}
    assert abs(float((found != 0).float().mean()) - LEVELS[3]) < 0.01
