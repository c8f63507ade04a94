import torch
from distillation.classrooms import ANSWERS, DATA
from training.blobs import net

from stillhouse.distillation.ledger import NAMED, ledger
from stillhouse.distillation.methods.kd import KD
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.distillation.selectors.teacher_correct import TeacherCorrect
from stillhouse.training.fit import FitSettings, fit


def test_golden_shares_by_hand():
    """Four rows weighed twice: 2, 1, 0 and 0 of 2; class a has the first two."""
    told = ledger(
        torch.tensor([2.0, 1.0, 0.0, 0.0]),
        torch.full((4,), 2),
        codes=torch.tensor([0, 0, 1, 1]),
        classes=("a", "b", "c"),
        rows=torch.tensor([7, 3, 9, 5]),
    )
    assert told == {
        "share": 3 / 8,
        "by_class": [
            {"class": "b", "rows": 2, "share": 0.0},
            {"class": "a", "rows": 2, "share": 0.75},
        ],
        "none": [5, 9],
        "nothing": 2,
    }


def test_views_of_a_row_are_one_row_and_one_that_was_never_weighed_is_not_blamed():
    told = ledger(
        torch.tensor([0.0, 1.0, 0.0]),
        torch.tensor([1, 1, 0]),
        codes=torch.tensor([0, 0, 0]),
        classes=("a",),
        rows=torch.tensor([4, 4, 6]),
    )
    assert (told["share"], told["none"], told["by_class"][0]["rows"]) == (0.5, [], 2)


def test_no_more_than_a_thousand_rows_are_named():
    many = NAMED + 5
    told = ledger(
        torch.zeros(many),
        torch.ones(many),
        codes=torch.zeros(many, dtype=torch.int64),
        classes=("a",),
        rows=torch.arange(many),
    )
    assert (len(told["none"]), told["nothing"]) == (NAMED, many)


def made(selector) -> Distillation:
    return Distillation(method=KD(), selector=selector, supervised=0.5, answers=wrong())


def wrong() -> torch.Tensor:
    """Answers that are wrong of the first three rows."""
    told = ANSWERS.clone()
    told[:3] = 5 * torch.nn.functional.one_hot((DATA.targets[:3] + 1) % 3, 3)
    told[3:] = 5 * torch.nn.functional.one_hot(DATA.targets[3:], 3)
    return told


def test_a_training_writes_down_what_each_row_got():
    objective = made(TeacherCorrect())
    fit(net(DATA), objective, DATA, DATA, FitSettings(epochs=4, batch=8))
    given, asked = objective.transfer()
    assert asked.tolist() == [4] * len(DATA)
    assert given.tolist() == [0.0] * 3 + [4.0] * (len(DATA) - 3)
    assert {"given", "asked"} <= set(objective.state_dict())  # a checkpoint holds it


def test_where_all_rows_count_alike_nothing_is_written_down():
    objective = made(All())
    assert objective.transfer() is None
    assert not {"given", "asked"} & set(objective.state_dict())
