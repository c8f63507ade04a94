import pytest

from stillhouse.errors import SourceError
from stillhouse.teachers.classes import order, require_count


def test_classes_are_matched_by_name() -> None:
    assert order(("c", "a", "b"), ("a", "b", "c"), where="x") == [1, 2, 0]
    assert order((), ("a", "b", "c"), where="x") == [0, 1, 2]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "b"), "knows 2 classes, the data have 3"),
        (("a", "b", "b"), "'b' is named twice"),
        (("a", "b", "see"), "no class 'see'"),
    ],
)
def test_names_that_are_not_the_data_s_are_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        order(names, ("a", "b", "c"), where="x")


def test_another_number_of_classes_is_refused_with_both_numbers() -> None:
    with pytest.raises(SourceError, match="knows 9 classes, the data have 2") as caught:
        require_count(9, ("a", "b"), where="teacher.onnx")
    assert caught.value.exit_code == 2
    require_count(2, ("a", "b"), where="teacher.onnx")
