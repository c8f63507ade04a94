import pytest
import torch

from stillhouse.attacks.space import Space
from stillhouse.errors import UsageError
from stillhouse.robustness.corruptions.saturate import Saturate


def loud(pixel, severity):
    return (
        Saturate()
        .apply(
            torch.tensor(pixel).view(1, -1, 1, 1),
            severity=severity,
            space=Space.box(),
            generator=torch.Generator(),
        )
        .flatten()
    )


def test_saturation_doubles_and_value_stays():
    torch.testing.assert_close(
        loud([0.8, 0.6, 0.7], 2), torch.tensor([0.8, 0.4, 0.6])
    )  # saturation 0.25 to 0.5


def test_a_full_colour_can_get_no_fuller_and_grey_has_none():
    torch.testing.assert_close(loud([0.8, 0.0, 0.4], 5), torch.tensor([0.8, 0.0, 0.4]))
    torch.testing.assert_close(loud([0.5, 0.5, 0.5], 5), torch.tensor([0.5, 0.5, 0.5]))


def test_images_without_colour_are_refused():
    with pytest.raises(UsageError, match="three channels"):
        loud([0.5], 1)
