import pytest
import torch

from stillhouse.evaluation import labels
from stillhouse.evaluation.label_points import FEWEST, called, choose_each, filled
from stillhouse.evaluation.operating import choose

NAN = float("nan")


def val(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(n, 3, generator=generator) < torch.tensor([0.5, 0.3, 0.2])).float()
    odds = 2 * truth - 1.5 + torch.randn(n, 3, generator=generator)
    truth[::9, 1] = NAN
    return odds, truth


@pytest.mark.parametrize(
    "criterion", ["youden", {"sensitivity": 0.9}, {"specificity": 0.9}, {"value": 0.3}]
)
def test_each_label_is_chosen_for_as_two_classes_are_of_the_rows_of_which_it_is_known(criterion):
    odds, truth = val()
    for at, own in enumerate(choose_each(criterion, odds, truth)):
        there = ~truth[:, at].isnan()
        scores, yes = odds[there, at].double().sigmoid().numpy(), (truth[there, at] == 1).numpy()
        assert own == choose(criterion, scores, yes)


def test_a_threshold_lies_where_it_parts_the_rows():
    odds = torch.tensor([-3.0] * 10 + [-2.0] * 10)[:, None]
    truth = torch.tensor([0.0] * 10 + [1.0] * 10)[:, None]
    (own,) = choose_each("youden", odds, truth)
    low, high = torch.tensor([-3.0, -2.0], dtype=torch.float64).sigmoid().tolist()
    assert own == pytest.approx((low + high) / 2)
    assert labels.exact_rows(called(odds, [own]), truth).all()
    assert not labels.exact_rows(odds, truth)[10:].any()


@pytest.mark.parametrize("wanted", [1.0, 0.0])
@pytest.mark.parametrize(("rows", "chosen"), [(FEWEST, True), (FEWEST - 1, False)])
def test_a_label_that_too_few_rows_have_or_have_not_keeps_one_half(wanted, rows, chosen):
    odds, truth = val()
    truth[:, 2] = 1 - wanted
    truth[:rows, 2] = wanted
    own = choose_each("youden", odds, truth)
    assert (own[2] is not None) is chosen
    assert None not in own[:2]
    assert (filled(own)[2] == 0.5) is not chosen
    assert choose_each({"value": 0.3}, odds, truth) == [0.3, 0.3, 0.3]


def test_decisions_are_yes_from_the_threshold_on():
    odds = torch.tensor([[0.0, -1.0], [-0.1, 3.0]])
    assert called(odds, [0.5, 0.9]).tolist() == [[1.0, -1.0], [-1.0, 1.0]]
