import torch
from validation.expectations.rows import SERIES, made

from stillhouse.validation.expectations.usual_recordings import UsualRecordings


def test_a_subject_whose_sensor_has_an_offset_is_odd_with_all_its_rows() -> None:
    inputs, subjects = torch.randn(100, 12, 2), torch.arange(100) // 10
    assert set(UsualRecordings().judge(made(SERIES, inputs, groups=subjects))) == {""}
    inputs[40:50, :, 1] += 9
    said = UsualRecordings().judge(made(SERIES, inputs, groups=subjects))
    assert [at for at, text in enumerate(said) if text] == list(range(40, 50))
    assert said[40].startswith("its recording's v, mean is 9")


def test_of_few_recordings_or_none_nothing_is_said() -> None:
    inputs = torch.randn(40, 12, 2)
    inputs[:10] += 50
    few = torch.arange(40) // 10
    assert set(UsualRecordings().judge(made(SERIES, inputs, groups=few))) == {""}
    assert set(UsualRecordings().judge(made(SERIES, inputs))) == {""}
