from pathlib import Path

from stillhouse.data.sources.digits import Digits


def test_digits_are_grey_images_in_data_space(tmp_path: Path) -> None:
    found = Digits().read(tmp_path)
    assert found.inputs.shape == (1797, 1, 8, 8)
    assert (found.inputs.min().item(), found.inputs.max().item()) == (0.0, 1.0)
    assert found.classes == tuple("0123456789")
    assert found.targets[:3].tolist() == [0, 1, 2]
