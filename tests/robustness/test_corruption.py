import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse import plugins
from stillhouse.attacks.space import Space
from stillhouse.errors import UsageError
from stillhouse.robustness.corruption import SEVERITIES, Corruption, CorruptionFailed, corrupt

NAMES = sorted(plugins.available("corruptions"))
SHAPES = {
    "image": [(3, 8, 8), (3, 9, 12), (3, 33, 40), (3, 1, 1)],
    "series": [(24, 3), (7, 1), (1, 2)],
    "table": [(6,), (1,)],
}
SPACE = Space(
    torch.tensor(0.0),
    torch.tensor(1.0),
    torch.tensor(1.0),
    torch.tensor(0.3),
    torch.tensor(True),
    torch.tensor(True),
    coded=torch.tensor(True),
)
EACH = [
    (name, kind) for name in NAMES for kind in sorted(plugins.load("corruptions", name).accepts)
]


def made(name, inputs, severity, seed=0):
    return corrupt(
        plugins.load("corruptions", name)(),
        inputs,
        severity=severity,
        space=SPACE,
        generator=torch.Generator().manual_seed(seed),
    )


def drawn(rows, shape, seed=0):
    return torch.rand(rows, *shape, generator=torch.Generator().manual_seed(1000 + seed)).round(
        decimals=1
    )


def changed(found, inputs):
    """How much is not as it was; a cell that was lost counts as 1."""
    return float((found.isnan().float() + (found - inputs).nan_to_num(0.0).abs()).norm())


@pytest.mark.parametrize(("name", "kind"), EACH)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_rows_of_any_size_stay_in_bounds(name, kind, data):
    shape, severity, seed = (
        data.draw(st.sampled_from(SHAPES[kind])),
        data.draw(st.sampled_from(SEVERITIES)),
        data.draw(st.integers(0, 99)),
    )
    inputs = drawn(3, shape, seed)
    found = made(name, inputs, severity, seed)
    assert found.shape == inputs.shape
    assert found.dtype == inputs.dtype
    assert (((found >= 0) & (found <= 1)) | found.isnan()).all()
    made_by = plugins.load("corruptions", name)
    assert made_by.empties or made_by.misspells or not found.isnan().any()


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_the_same_generator_gives_the_same_rows_and_inputs_are_left_alone(name, kind):
    inputs = drawn(4, SHAPES[kind][0])
    before, state = inputs.clone(), torch.get_rng_state()
    assert torch.equal(made(name, inputs, 3).nan_to_num(-1), made(name, inputs, 3).nan_to_num(-1))
    assert torch.equal(inputs, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_no_row_and_one_row_work(name, kind):
    for rows in (0, 1):
        assert made(name, drawn(rows, SHAPES[kind][0]), 3).shape == (rows, *SHAPES[kind][0])


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_every_severity_changes_more_than_the_last(name, kind):
    inputs = drawn(200, SHAPES[kind][0])
    changes = [changed(made(name, inputs, severity), inputs) for severity in SEVERITIES]
    assert changes[0] > 0
    assert changes == sorted(changes)


@pytest.mark.parametrize("name", [name for name, kind in EACH if kind == "series"])
def test_a_series_with_missing_values_keeps_them(name):
    inputs = drawn(8, (24, 3))
    inputs[::2, 3:9, 1] = torch.nan
    space = Space(
        torch.tensor(0.0),
        torch.tensor(1.0),
        torch.tensor(1.0),
        torch.tensor(0.3),
        torch.tensor(True),
    )
    for severity in SEVERITIES:
        found = corrupt(
            plugins.load("corruptions", name)(),
            inputs,
            severity=severity,
            space=space,
            generator=torch.Generator().manual_seed(0),
        )
        assert torch.equal(found.isnan(), inputs.isnan())


@pytest.mark.parametrize("severity", [0, 6, 2.5])
def test_other_severities_are_refused(severity):
    with pytest.raises(UsageError, match="severit"):
        made("noise", torch.rand(1, 1, 8, 8), severity)


def test_missing_cells_and_fixed_columns_of_a_table_stay():
    space = Space(
        torch.tensor(-9.0),
        torch.tensor(9.0),
        torch.ones(3),
        torch.ones(3),
        torch.tensor([True, False, True]),
    )
    rows = torch.tensor([[1.0, 2.0, torch.nan], [0.0, 3.0, 1.0]])
    found = corrupt(
        plugins.load("corruptions", "noise")(),
        rows,
        severity=5,
        space=space,
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(found.isnan(), rows.isnan())
    assert torch.equal(found[:, 1], rows[:, 1])
    assert (found[:, 0] != rows[:, 0]).all()


class Broken(Corruption):
    def apply(self, inputs, *, severity, space, generator):
        return inputs / 0


class Short(Corruption):
    def apply(self, inputs, *, severity, space, generator):
        return inputs[1:]


@pytest.mark.parametrize("corruption", [Broken(), Short()])
def test_a_corruption_that_returns_what_cannot_be_asked_is_named(corruption):
    with pytest.raises(CorruptionFailed, match=type(corruption).__name__):
        corrupt(
            corruption,
            torch.zeros(2, 3),
            severity=1,
            space=Space.box(),
            generator=torch.Generator(),
        )
