import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.noise import LEVELS, Noise


def test_its_size_is_a_share_of_each_features_deviation():
    deviation = torch.tensor([0.0, 1.0, 50.0])
    space = Space(
        torch.tensor(-torch.inf),
        torch.tensor(torch.inf),
        torch.ones(3),
        deviation,
        torch.tensor(True),
    )
    found = (
        Noise()
        .apply(
            torch.zeros(4000, 3),
            severity=2,
            space=space,
            generator=torch.Generator().manual_seed(0),
        )
        .std(dim=0)
    )
    torch.testing.assert_close(found, LEVELS[1] * deviation, rtol=0.05, atol=0)
