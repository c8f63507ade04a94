import itertools

import pytest
import torch
from torch import nn

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.flip import Flip
from stillhouse.attacks.switches import Categories
from stillhouse.errors import DataError, UsageError

# Two numbers, then three categories of 3, 4 and 2 levels, one-hot.
GROUPS = [[2, 3, 4], [5, 6, 7, 8], [9, 10]]
SPACE = Space.box().one_hot(GROUPS, columns=11)


def rows(count=60):
    draw = torch.Generator().manual_seed(3)
    numbers = torch.rand(count, 2, generator=draw)
    parts = [
        nn.functional.one_hot(torch.randint(len(group), (count,), generator=draw), len(group))
        for group in GROUPS
    ]
    return torch.cat([numbers, *parts], dim=1).float()


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        made = nn.Sequential(nn.Linear(11, 16), nn.Tanh(), nn.Linear(16, 3)).eval()
        with torch.no_grad():
            made[0].weight[:, :2] *= 20  # the numbers decide most rows by themselves
        return made


@pytest.fixture(scope="module")
def asked():
    inputs, model = rows(), net()
    return model, inputs, model(inputs).argmax(1)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_withstands_it_withstands_every_choice_there_is(asked, most):
    model, inputs, targets = asked
    found = Flip()(model, inputs, targets, Threat("category", most, SPACE))
    fooled = torch.zeros(len(inputs), dtype=torch.bool)
    for levels in itertools.product(*(range(len(group)) for group in GROUPS)):
        at = Categories(SPACE).apply(inputs, tuple(enumerate(levels)))
        near = Threat("category", most, SPACE).size(at, inputs) <= most
        fooled |= near & (model(at).argmax(1) != targets)
    assert torch.equal(found.success, fooled)
    assert fooled.any()
    assert not fooled.all()


def test_with_fewer_questions_than_choices_it_still_finds_most_of_them(asked):
    model, inputs, targets = asked
    threat = Threat("category", 3, SPACE)
    every = Flip()(model, inputs, targets, threat).success.sum()
    few = Flip(queries=24)(model, inputs, targets, threat)
    assert Categories(SPACE).count(3) > 24
    assert few.queries <= 24 * len(inputs) + 4 * len(inputs)
    assert few.success.sum() >= 0.8 * every


def test_without_a_place_it_is_refused_by_name(asked):
    model, inputs, targets = asked
    with pytest.raises(UsageError, match=r"Space\.one_hot"):
        Flip()(model, inputs, targets, Threat("category", 1))
    with pytest.raises(UsageError, match="whole number"):
        Flip()(model, inputs, targets, Threat("category", 1.5, SPACE))


class Loud(nn.Module):
    """Listens to the first of three channels alone."""

    def forward(self, series):
        heard = series[..., 0].mean(1)
        return torch.stack([heard, -heard], dim=1)


def test_the_channel_that_a_model_hangs_on_is_found():
    series = torch.rand(20, 8, 3, generator=torch.Generator().manual_seed(0)) + 0.5
    space = Space.box(-0.2, 2.0)
    found = Flip()(
        Drowned(), series, torch.zeros(20, dtype=torch.int64), Threat("channels", 1, space)
    )
    assert found.success.all()
    assert (found.inputs[..., 0] == 0).all()
    assert torch.equal(found.inputs[..., 1:], series[..., 1:])
    # a model that needs none of them alone withstands
    none = Flip()(
        Steady(), series, torch.zeros(20, dtype=torch.int64), Threat("channels", 2, space)
    )
    assert not none.success.any()


class Drowned(Loud):
    """Says yes only while it hears something."""

    def forward(self, series):
        return super().forward(series - 0.1)


class Steady(nn.Module):
    def forward(self, series):
        heard = series.sum((1, 2))
        return torch.stack([heard, -heard], dim=1)


def test_a_constraint_that_no_row_meets_is_refused_and_one_that_some_meet_is_not():
    one = torch.ones(2)
    inputs = torch.tensor([[0.2, 0.7], [0.1, 0.9]])
    model, targets = nn.Linear(2, 2), torch.zeros(2, dtype=torch.int64)

    def attacked(first, second):
        space = Space(0 * one, one, one, one, one.bool(), ordered=((first, second, False),))
        from stillhouse.attacks.fgsm import FGSM

        return FGSM()(model, inputs, targets, Threat("linf", 0.1, space))

    attacked(1, 0)
    with pytest.raises(DataError, match="no row meets the constraint column 0 > column 1"):
        attacked(0, 1)


def test_what_such_rows_do_not_have_is_refused(asked):
    model, inputs, targets = asked
    series = torch.rand(20, 8, 3)
    ends = torch.zeros(20, dtype=torch.int64)
    Flip()(Steady(), series, ends, Threat("channels", 1))
    with pytest.raises(UsageError, match="only tables"):
        Flip()(Steady(), series, ends, Threat("category", 1))
    with pytest.raises(UsageError, match="happens to series"):
        Flip()(model, inputs, targets, Threat("channels", 1, SPACE))
