import pytest

from stillhouse.data.schema import Feature, Quantity, Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.classes import order, require_count


def classes(*names: str) -> Schema:
    return Schema("table", (1,), names, (Feature("x"),))


def test_what_is_told_of_a_quantity_is_matched_by_name_too() -> None:
    price = Quantity("price", quantiles=(0.1, 0.5, 0.9))
    schema = Schema("table", (1,), (), (Feature("x"),), "regression", price)
    assert order(("q0.5", "q0.1", "q0.9"), schema, where="x") == [1, 0, 2]
    with pytest.raises(SourceError, match=r"answers 1 numbers a row, 'price' is told by 3 \(q0.1"):
        require_count(1, schema, where="x")
    require_count(3, schema, where="x")


def test_classes_are_matched_by_name() -> None:
    assert order(("c", "a", "b"), classes("a", "b", "c"), where="x") == [1, 2, 0]
    assert order((), classes("a", "b", "c"), where="x") == [0, 1, 2]


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
        order(names, classes("a", "b", "c"), where="x")


def test_another_number_of_classes_is_refused_with_both_numbers() -> None:
    with pytest.raises(SourceError, match="knows 9 classes, the data have 2") as caught:
        require_count(9, classes("a", "b"), where="teacher.onnx")
    assert caught.value.exit_code == 2
    require_count(2, classes("a", "b"), where="teacher.onnx")
