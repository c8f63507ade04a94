import torch
from validation.expectations.rows import TABLE, made

from stillhouse.validation.expectations.labels_agree import LabelsAgree


def test_equal_rows_of_two_classes_are_odd_and_others_are_not() -> None:
    inputs = torch.randn(20, 3).abs()
    inputs[:, 2] = 0
    assert set(LabelsAgree().judge(made(TABLE, inputs))) == {""}
    inputs[[3, 4, 15]] = inputs[1].clone()
    targets = torch.arange(20) % 2  # row 4 is "no", the rows 1, 3 and 15 are "yes"
    said = LabelsAgree().judge(made(TABLE, inputs, targets))
    assert {at: text for at, text in enumerate(said) if text} == {
        4: "'no', and 3 equal rows are 'yes'"
    }


def test_where_as_many_say_one_thing_as_the_other_all_are_odd_and_unlabelled_rows_never() -> None:
    inputs = torch.arange(60.0).reshape(20, 3)
    inputs[:, 2] = 1
    inputs[[1, 2, 9]] = inputs[0].clone()
    targets = torch.zeros(20, dtype=torch.int64)
    targets[[0, 1]], targets[9] = 1, -1
    targets[2] = 0
    said = LabelsAgree().judge(made(TABLE, inputs, targets))
    assert [at for at, text in enumerate(said) if text] == [2]
    targets[1] = -1
    said = LabelsAgree().judge(made(TABLE, inputs, targets))
    assert [at for at, text in enumerate(said) if text] == [0, 2]
    assert said[0] == "'yes', and 1 equal row is 'no'"
