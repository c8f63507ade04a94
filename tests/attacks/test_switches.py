import pytest
import torch

from stillhouse.attacks import Space, Threat
from stillhouse.attacks.switches import Categories, Silence
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import UsageError

TABLE = Schema(
    "table",
    (5,),
    ("a", "b"),
    (
        Feature("age"),
        Feature("sex", kind="category", categories=("f", "m")),
        Feature("ward", kind="category", categories=("x", "y", "z"), missing=True),
        Feature("smokes", kind="binary"),
        Feature("born", kind="category", categories=("here", "there"), mutable=False),
    ),
)
ROWS = torch.tensor([[30.0, 0, 2, 1, 0], [50.0, 1, torch.nan, 0, 1]])
SPACE = Space.of(TABLE, ROWS)


def moved(column, value, row=0):
    rows = ROWS.clone()
    rows[row, column] = value
    return rows


def test_a_tables_categories_and_yes_no_columns_are_places_but_for_what_is_held_fixed():
    assert Categories(SPACE).values == (2, 3, 2)
    assert Categories(Space.box().one_hot([[0, 1], [3, 4, 5]], columns=6)).values == (2, 3)
    assert Categories(Space.box()).values == ()


@pytest.mark.parametrize(
    ("column", "value", "size"),
    [
        (1, 1, 1.0),
        (2, 0, 1.0),
        (3, 0, 1.0),
        (2, 3, torch.inf),  # no such level
        (2, 0.5, torch.inf),
        (2, -1, torch.inf),
        (4, 1, torch.inf),  # held fixed
        (0, 31, torch.inf),  # a number
    ],
)
def test_only_another_level_of_a_category_is_a_change_of_this_threat(column, value, size):
    threat = Threat("category", 1, SPACE)
    assert threat.size(moved(column, value), ROWS).tolist() == [size, 0.0]
    assert threat.allows(moved(column, value), ROWS).tolist() == [size == 1, True]


def test_a_missing_category_stays_missing():
    filled = moved(2, 1, row=1)
    assert Threat("category", 3, SPACE).size(filled, ROWS).tolist() == [0.0, torch.inf]
    kept = Categories(SPACE).apply(ROWS, ((1, 0),))
    assert kept[0, 2] == 0
    assert kept[1, 2].isnan()


def test_more_flips_than_epsilon_are_not_allowed():
    both = moved(1, 1)
    both[0, 3] = 0
    assert Threat("category", 2, SPACE).allows(both, ROWS).all()
    assert not Threat("category", 1, SPACE).allows(both, ROWS)[0]
    # what is not allowed is brought back whole
    assert torch.equal(Threat("category", 1, SPACE).project(both, ROWS)[0], ROWS[0])


def test_of_a_one_hot_group_exactly_one_is_1():
    clean = torch.tensor([[0.3, 1.0, 0.0, 0.0]])
    space = Space.box().one_hot([[1, 2, 3]], columns=4)
    threat = Threat("category", 1, space)
    for told, allowed in (([0, 0, 1.0], True), ([0, 1.0, 1.0], False), ([0, 0.5, 0.5], False)):
        other = clean.clone()
        other[0, 1:] = torch.tensor(told)
        assert bool(threat.allows(other, clean)) is allowed
    # and under any other threat they stay
    assert torch.equal(Threat("linf", 0.5, space).project(clean + 1, clean)[:, 1:], clean[:, 1:])


@pytest.mark.parametrize("groups", [[[1]], [[1, 2], [2, 3]], [[3, 9]]])
def test_groups_that_are_none_are_refused(groups):
    Space.box().one_hot([[1, 2]], columns=4)
    with pytest.raises(UsageError, match="two columns or more"):
        Space.box().one_hot(groups, columns=4)


def test_all_choices_are_counted_and_each_comes_once():
    switches = Categories(SPACE)
    for most in (1, 2, 3, 9):
        every = list(switches.every(most))
        assert len(every) == len(set(every)) == switches.count(most)
    assert switches.count(2) == 2 + 3 + 2 + 6 + 4 + 6
    assert switches.draw(2, torch.Generator().manual_seed(0)) in set(switches.every(2))


def test_a_silent_channel_reads_nothing_all_the_time():
    series = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)) + 5
    series[0, 2, 1] = torch.nan
    space = Space.box(1.0, 20.0)
    quiet = Silence(space, 3).apply(series, ((1, 0),))
    assert quiet[1, :, 1].tolist() == [1.0] * 6  # 0 lies outside the bounds
    assert quiet[0, 2, 1].isnan()
    assert torch.equal(quiet[..., 0], series[..., 0])
    threat = Threat("channels", 1, space)
    assert threat.size(quiet, series).tolist() == [1.0, 1.0]
    half = series.clone()
    half[:, :3, 1] = 1.0
    assert threat.size(half, series).tolist() == [torch.inf] * 2


def test_a_channel_that_may_not_change_is_never_silent():
    mutable = torch.tensor([[True, False, True]])
    one = torch.ones(1, 3)
    space = Space(-9 * one, 9 * one, one, one, mutable)
    assert Silence(space, 3).channels == [0, 2]
