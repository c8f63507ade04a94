import pytest
import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.errors import SourceError
from stillhouse.teachers.ask import ask, naming
from stillhouse.teachers.teacher import Oracle


class Fixed(Oracle):
    """Answers row r with logits that start with r."""

    def __init__(
        self, classes: int = 10, broken: tuple[int, ...] = (), unknown: tuple[int, ...] = ()
    ) -> None:
        self.classes, self.broken, self.unknown = classes, broken, unknown

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:
        found = torch.zeros(len(rows), self.classes, dtype=torch.float64)
        found[:, 0] = rows
        found[torch.isin(rows, torch.tensor(self.broken, dtype=torch.int64)), 1] = float("nan")
        return found

    def answers(self, rows: Tensor) -> Tensor:
        return ~torch.isin(rows, torch.tensor(self.unknown, dtype=torch.int64))


def test_answers_come_in_the_order_of_the_rows_whatever_the_batch(digits: Dataset) -> None:
    rows = digits.take(torch.tensor([7, 3, 11]))
    found = ask(Fixed(), rows, batch=2)
    assert found.dtype == torch.float32
    assert found[:, 0].tolist() == [7.0, 3.0, 11.0]


def test_rows_whose_answer_is_not_a_number_are_named(digits: Dataset) -> None:
    rows = digits.take(torch.tensor([7, 3, 11]))
    with pytest.raises(SourceError, match="not a finite number for row 11"):
        ask(Fixed(broken=(11,)), rows)
    ask(Fixed(broken=(12,)), rows)


def test_rows_without_an_answer_are_named(digits: Dataset) -> None:
    rows = digits.take(torch.tensor([7, 3, 11]))
    with pytest.raises(SourceError, match="no answer for 2 rows: 7, 11"):
        ask(Fixed(unknown=(7, 11)), rows)


def test_another_number_of_classes_is_refused_with_both_numbers(digits: Dataset) -> None:
    with pytest.raises(SourceError, match="knows 3 classes, the data have 10"):
        ask(Fixed(3), digits.take(torch.tensor([0])))


def test_many_rows_are_counted_after_the_first_ten() -> None:
    assert naming(torch.arange(40)) == "40 rows: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 30 more"
