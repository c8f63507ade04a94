import torch
from validation.expectations.rows import IMAGES, SERIES, made

from stillhouse.validation.expectations.usual_rows import UsualRows


def pictures() -> torch.Tensor:
    """Pictures of a smooth slope, each of its own brightness."""
    slope = torch.linspace(0.2, 0.6, 64).view(1, 1, 8, 8)
    return slope + 0.3 * torch.rand(100, 1, 1, 1) + 0.02 * torch.rand(100, 1, 8, 8)


def test_an_image_far_too_dark_flat_or_noisy_is_odd_and_train_s_like_are_not() -> None:
    inputs = pictures()
    assert set(UsualRows().judge(made(IMAGES, inputs))) == {""}
    inputs[70], inputs[71] = 0.0, inputs[71].mean()
    inputs[72] = torch.rand(1, 8, 8)
    said = UsualRows().judge(made(IMAGES, inputs))
    assert [at for at, text in enumerate(said) if text] == [70, 71, 72]
    assert said[71].startswith("grey, std is ")
    assert UsualRows(fences=1000.0).judge(made(IMAGES, inputs)).tolist() == [""] * 100


def test_a_recording_whose_sensor_failed_is_odd() -> None:
    inputs = torch.randn(100, 12, 2)
    assert [t for t in UsualRows().judge(made(SERIES, inputs)) if t] == []
    inputs[65, :, 1] = 40
    assert "v, " in UsualRows().judge(made(SERIES, inputs))[65]
