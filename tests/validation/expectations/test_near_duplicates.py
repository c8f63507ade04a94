import pytest
import torch
from validation.expectations.rows import IMAGES, SERIES, TABLE, made

from stillhouse.data.schema import Feature, Schema
from stillhouse.data.sources.digits import Digits
from stillhouse.validation.expectations.near_duplicates import NearDuplicates


def odd(schema: Schema, inputs: torch.Tensor, **settings: float) -> dict[int, str]:
    said = NearDuplicates(**settings).judge(made(schema, inputs))  # type: ignore[arg-type]
    return {at: text for at, text in enumerate(said) if text}


def test_an_image_of_another_brightness_contrast_or_noise_is_found() -> None:
    inputs = torch.rand(50, 1, 8, 8)
    assert odd(IMAGES, inputs) == {}
    inputs[35] = 0.6 * inputs[7] + 0.3
    inputs[46] = (inputs[12] + 0.02 * torch.randn(1, 8, 8)).clamp(0, 1)
    inputs[48] = inputs[13].roll(1, dims=2)
    inputs[49] = inputs[3]
    found = odd(IMAGES, inputs)
    assert list(found) == [35, 46]  # not the shifted one, and not the equal one
    assert found[35] == "like train row 7 (1.0000)"
    assert odd(IMAGES, inputs, similarity=1.0).keys() <= {35}


def test_wide_images_are_found_through_their_projection() -> None:
    schema = Schema("image", (3, 32, 32), ("no", "yes"), tuple(Feature(n) for n in "rgb"))
    inputs = torch.rand(60, 3, 32, 32)
    for at in range(12):
        inputs[40 + at] = (0.9 * inputs[at] + 0.02 * torch.randn(3, 32, 32)).clamp(0, 1)
    assert list(odd(schema, inputs)) == list(range(40, 52))


def test_real_digits_have_no_near_duplicates_though_many_look_alike() -> None:
    digits = Digits().read(None)  # type: ignore[arg-type]
    assert odd(digits.schema, digits.inputs) == {}


def test_a_series_measured_again_is_found_and_one_of_the_same_shape_but_other_level_is_not() -> (
    None
):
    inputs = torch.randn(50, 12, 2) * torch.tensor([1.0, 100.0])
    assert odd(SERIES, inputs) == {}
    inputs[35] = inputs[7] * 1.001
    inputs[46] = inputs[8] * 2
    assert list(odd(SERIES, inputs)) == [35]


@pytest.mark.parametrize("missing", [False, True])
def test_a_table_s_row_is_near_if_it_rounds_to_one_of_train(missing: bool) -> None:
    inputs = torch.stack([40 + 9 * torch.randn(50), torch.randn(50), torch.arange(50) % 2], 1)
    if missing:
        inputs[7, 0] = torch.nan
    assert odd(TABLE, inputs) == {}
    inputs[35] = inputs[7] + torch.tensor([0.005, 0.0, 0.0])
    inputs[36] = inputs[8] + torch.tensor([4.0, 0.0, 0.0])
    inputs[37] = inputs[9]
    inputs[37, 2] = 1 - inputs[37, 2]
    inputs[38] = inputs[10]
    found = odd(TABLE, inputs)
    assert list(found) == ([] if missing else [35])  # at 38 it is equal; 7's age is missing in both
    assert len(odd(TABLE, inputs, steps=2)) > len(found)
