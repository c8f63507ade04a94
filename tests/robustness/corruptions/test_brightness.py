import torch

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruptions.brightness import Brightness


def bright(pixel, severity=2):
    return (
        Brightness()
        .apply(
            torch.tensor(pixel).view(1, -1, 1, 1),
            severity=severity,
            space=Space.box(),
            generator=torch.Generator(),
        )
        .flatten()
    )


def test_grey_rises_by_the_level_and_stops_at_white():
    torch.testing.assert_close(bright([0.5]), torch.tensor([0.7]))
    torch.testing.assert_close(bright([0.0]), torch.tensor([0.2]))
    torch.testing.assert_close(bright([0.95]), torch.tensor([1.0]))


def test_a_colour_keeps_its_proportions():
    torch.testing.assert_close(bright([0.4, 0.2, 0.0]), torch.tensor([0.6, 0.3, 0.0]))
