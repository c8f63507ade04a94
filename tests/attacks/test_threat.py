import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.attacks.space import Space
from stillhouse.attacks.threat import Threat

NAN = torch.nan
SPACE = Space(
    low=torch.tensor([0.0, -100.0, 0.0, 0.0]),
    high=torch.tensor([1.0, 100.0, 9.0, 5.0]),
    scale=torch.tensor([1.0, 20.0, 1.0, 2.0]),
    deviation=torch.tensor([1.0, 20.0, 1.0, 2.0]),
    mutable=torch.tensor([True, True, False, True]),
)
CLEAN = torch.tensor([[0.5, 40.0, 3.0, NAN], [0.0, 99.0, 7.0, 4.0], [2.0, -5000.0, 1.0, 0.0]])
threats = st.builds(
    lambda norm, epsilon: Threat(norm, epsilon, SPACE),
    st.sampled_from(["linf", "l2"]),
    st.floats(1e-3, 10),
)
seeds = st.integers(0, 10_000)


@settings(max_examples=60, deadline=None)
@given(threats, seeds, st.floats(0.01, 100))
def test_whatever_is_projected_is_allowed(threat, seed, size):
    moved = CLEAN + size * torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(seed))
    assert threat.allows(threat.project(moved, CLEAN), CLEAN).all()


@settings(max_examples=60, deadline=None)
@given(threats, seeds)
def test_a_random_start_is_allowed(threat, seed):
    assert threat.allows(threat.random(CLEAN, torch.Generator().manual_seed(seed)), CLEAN).all()


def test_a_clean_row_is_allowed_also_beyond_the_bounds_and_with_missing_cells():
    assert Threat("linf", 0.1, SPACE).allows(CLEAN, CLEAN).all()


def test_what_leaves_the_ball_the_bounds_or_touches_a_fixed_or_missing_cell_is_not_allowed():
    threat = Threat("linf", 0.1, SPACE)
    for row, column, value in (
        (0, 0, 0.61),
        (1, 0, -0.05),
        (0, 2, 3.01),
        (0, 3, 1.0),
        (1, 3, NAN),
        (2, 0, 2.05),
        (0, 1, 42.1),
    ):
        moved = CLEAN.clone()
        moved[row, column] = value
        assert threat.allows(moved, CLEAN).tolist() == [at != row for at in range(3)]
    moved = CLEAN.clone()
    moved[0, 0], moved[0, 1] = 0.6, 41.9  # the control: inside, two units of twenty raw ones
    assert threat.allows(moved, CLEAN).all()


def test_a_projection_leaves_allowed_inputs_alone():
    moved = CLEAN.clone()
    moved[:, 1] += torch.tensor([0.5, 0.5, 0.5])
    for norm in ("linf", "l2"):
        torch.testing.assert_close(
            Threat(norm, 0.1, SPACE).project(moved, CLEAN), moved, equal_nan=True
        )


def test_the_steepest_change_has_size_one_and_rises_most():
    gradient = torch.tensor([[1.0, -2.0, 5.0, NAN], [0.0, 0.0, 0.0, 1e-30], [0.0, 0.0, 0.0, 0.0]])
    linf = Threat("linf", 0.1, SPACE).steepest(gradient, CLEAN)
    assert linf.tolist() == [[1.0, -20.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]
    l2 = Threat("l2", 0.1, SPACE).steepest(gradient, CLEAN)
    unit = torch.tensor([1.0, -40.0]) / torch.tensor([1.0, -40.0]).norm()
    torch.testing.assert_close(l2[0], torch.tensor([unit[0], unit[1] * 20, 0.0, 0.0]))
    torch.testing.assert_close(l2[1], torch.tensor([0.0, 0.0, 0.0, 2.0]))
    assert l2[2].tolist() == [0.0] * 4


def test_random_starts_fill_the_ball():
    clean = torch.zeros(4000, 3)
    start = Threat("l2", 2.0, Space.box(-9.0, 9.0)).random(clean, torch.Generator().manual_seed(0))
    sizes = start.norm(dim=1)
    assert sizes.max() <= 2.0 + 1e-5
    assert (
        abs(float((sizes < 2.0 * 0.5 ** (1 / 3)).double().mean()) - 0.5) < 0.03
    )  # half of the volume of a ball
