import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.attacks import Space, Threat
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import UsageError

EPSILON = {"linf": 0.2, "l2": 0.7, "l1": 1.5, "l0": 4, "patch": 0.5}
ROWS = torch.rand(4, 2, 6, 5, generator=torch.Generator().manual_seed(0))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(EPSILON)), st.integers(0, 10_000), st.floats(0.01, 5))
def test_whatever_is_projected_is_allowed_of_any_shape(norm, seed, size):
    threat, draw = Threat(norm, EPSILON[norm]), torch.Generator().manual_seed(seed)
    for clean in (ROWS, ROWS[:, :, :, 0].transpose(1, 2), ROWS[:, 0, :, 0]):
        moved = clean + size * torch.randn(clean.shape, generator=draw)
        inside = threat.project(moved, clean)
        assert threat.allows(inside, clean).all()
        assert (threat.size(inside, clean) <= EPSILON[norm] * (1 + 1e-5)).all()
        torch.testing.assert_close(threat.project(inside, clean), inside)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_random_start_lies_in_the_ball_and_fills_it(norm):
    clean = torch.zeros(4000, 3)
    start = Threat(norm, 2.0, Space.box(-9, 9)).random(clean, torch.Generator().manual_seed(0))
    size = Threat(norm, 2.0, Space.box(-9, 9)).size(start, clean)
    assert size.max() <= 2.0 + 1e-5
    half = 2.0 * 0.5 ** (1 / 3)  # half of the volume of a ball in three dimensions
    assert abs(float((size < half).double().mean()) - 0.5) < 0.03


def test_places_and_patches_are_counted_as_people_do():
    moved = ROWS.clone()
    moved[0, :, 1, 1] = 0.0  # one pixel, both channels
    moved[0, 0, 2, 3] = 0.0
    assert Threat("l0", 3).size(moved, ROWS).tolist() == [2, 0, 0, 0]
    # rows 1 to 2 and columns 1 to 3: a square of 3, of a shorter side of 5
    torch.testing.assert_close(
        Threat("patch", 1.0).size(moved, ROWS), torch.tensor([0.6, 0.0, 0.0, 0.0])
    )
    assert not Threat("patch", 0.5).allows(moved, ROWS)[0]
    assert Threat("patch", 0.6).allows(moved, ROWS)[0]


@pytest.mark.parametrize("norm", ["l0", "patch"])
def test_what_has_no_direction_is_not_followed(norm):
    with pytest.raises(UsageError, match=f"the threat {norm} has no direction"):
        Threat(norm, 1.0).steepest(ROWS, ROWS)


def table():
    features = (
        Feature("age", kind="integer", low=0, high=120),
        Feature("bmi", low=10, high=60),
        Feature("ward", kind="category", categories=("a", "b")),
        Feature("beds", kind="integer", mutable=False),
    )
    schema = Schema("table", (4,), ("no", "yes"), features)
    draw = torch.Generator().manual_seed(1)
    rows = torch.stack(
        [
            torch.randint(20, 90, (50,), generator=draw).float(),
            20 + 10 * torch.rand(50, generator=draw),
            torch.randint(0, 2, (50,), generator=draw).float(),
            torch.randint(1, 5, (50,), generator=draw).float(),
        ],
        dim=1,
    )
    return Space.of(schema, rows), rows


def test_whole_numbers_stay_whole_and_halves_are_not_allowed():
    space, rows = table()
    threat = Threat("linf", 1.0, space)
    moved = rows.clone()
    moved[:, 0] += 0.5
    assert not threat.allows(moved, rows).any()
    moved[:, 0] += 0.5
    assert threat.allows(moved, rows).all()
    wild = rows + 3 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(2))
    for norm in ("linf", "l2", "l1", "l0"):
        held = Threat(norm, 2.0, space)
        snapped = held.snap(wild, rows)
        assert held.allows(snapped, rows).all()
        assert torch.equal(snapped[:, 0], snapped[:, 0].round())
        assert torch.equal(snapped[:, 2:], rows[:, 2:])
        assert (snapped != rows).any()


def test_each_named_column_moves_in_its_own_units_and_no_other():
    space, rows = table()
    threat = Threat("linf", 1.0, space.within({"age": 2, "bmi": 0.5}))
    moved = threat.snap(rows + 50, rows)
    torch.testing.assert_close(moved[:, 0] - rows[:, 0], torch.full((50,), 2.0))
    torch.testing.assert_close(moved[:, 1] - rows[:, 1], torch.full((50,), 0.5))
    only = Threat("linf", 1.0, space.within({"bmi": 0.5})).snap(rows + 50, rows)
    assert torch.equal(only[:, 0], rows[:, 0])
    one_and_a_half = Threat("linf", 1.0, space.within({"age": 1.5})).snap(rows + 50, rows)
    torch.testing.assert_close(one_and_a_half[:, 0] - rows[:, 0], torch.ones(50))


@pytest.mark.parametrize(
    ("reach", "said"),
    [
        ({"agee": 1}, "Did you mean 'age'"),
        ({"ward": 1}, "'ward' may not change"),
        ({"beds": 1}, "'beds' may not change"),
        ({"age": 0}, "cannot move by 0"),
        ({"age": float("inf")}, "cannot move by inf"),
    ],
)
def test_a_column_that_cannot_move_so_is_refused_by_name(reach, said):
    space, _ = table()
    space.within({"age": 1})
    with pytest.raises(UsageError, match=said):
        space.within(reach)
