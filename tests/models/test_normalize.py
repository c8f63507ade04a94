import math

import pytest
import torch

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import DataError, UsageError
from stillhouse.models.normalize import Normalize

IMAGE = Schema("image", (2, 3, 3), ("a", "b"), (Feature("red"), Feature("green")))
SERIES = Schema("series", (5, 2), ("a", "b"), (Feature("x"), Feature("y")))
TABLE = Schema(
    "table",
    (4,),
    ("a", "b"),
    (
        Feature("age", missing=True),
        Feature("town", "category", categories=("Bern", "Chur", "Genf")),
        Feature("sum"),
        Feature("sex", "category", categories=("f", "m")),
    ),
)
ROWS = torch.tensor([[30.0, 0, 1000, 1], [math.nan, 2, 3000, 0], [50, math.nan, 2000, 1]])


@pytest.mark.parametrize(("schema", "axes"), [(IMAGE, (0, 2, 3)), (SERIES, (0, 1))])
def test_channels_are_standardised(schema: Schema, axes: tuple[int, ...]):
    inputs = torch.rand(50, *schema.shape) * 3 + 1
    made = Normalize.fit(inputs, schema)
    encoded = made(inputs)
    assert made.shape == schema.shape
    torch.testing.assert_close(encoded.mean(axes), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded.std(axes, correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_a_table_becomes_numbers_then_marks_then_categories():
    made = Normalize.fit(ROWS, TABLE)
    assert made.shape == (8,)
    age, spread = 10.0, math.sqrt(2e6 / 3)
    wanted = torch.tensor(
        [
            # age, sum, age is missing, Bern, Chur, Genf, f, m
            [-10 / age, -1000 / spread, 0, 1, 0, 0, 0, 1],
            [0, 1000 / spread, 1, 0, 0, 1, 1, 0],
            [10 / age, 0, 0, 0, 0, 0, 0, 1],
        ]
    )
    torch.testing.assert_close(made(ROWS), wanted)


def test_a_category_that_was_never_named_is_all_zeros():
    row = torch.tensor([[40.0, 7, 2000, 1]])
    torch.testing.assert_close(Normalize.fit(ROWS, TABLE)(row)[0, 3:6], torch.zeros(3))


def test_a_constant_or_wholly_missing_column_stays_finite():
    schema = Schema("table", (2,), ("a", "b"), (Feature("same"), Feature("gone", missing=True)))
    inputs = torch.tensor([[1e7, math.nan], [1e7, math.nan]])
    made = Normalize.fit(inputs, schema)
    torch.testing.assert_close(made(inputs), torch.tensor([[0.0, 0, 1], [0, 0, 1]]))
    assert made(inputs + 1).abs().max() < 10


def test_statistics_come_back_from_a_state_dict():
    made, empty = Normalize.fit(ROWS, TABLE), Normalize.empty(TABLE)
    assert not torch.equal(empty(ROWS), made(ROWS))
    empty.load_state_dict(made.state_dict())
    assert torch.equal(empty(ROWS), made(ROWS))
    assert set(made.state_dict()) == {"mean", "spread"}
    assert not list(made.parameters())


def test_gradients_reach_numbers_in_data_space():
    rows = torch.tensor([[40.0, 0, 2000, 1]], requires_grad=True)
    Normalize.fit(ROWS, TABLE)(rows).sum().backward()
    assert rows.grad is not None
    assert rows.grad[0, 0] != 0
    assert torch.isfinite(rows.grad).all()


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="no rows"):
        Normalize.fit(torch.zeros(0, 4), TABLE)


def test_rows_that_are_no_numbers_are_refused():
    with pytest.raises(UsageError, match="rows of kind text"):
        Normalize.empty(Schema("text", (1,), ("a", "b"), (Feature("x"),)))


def test_a_schema_with_other_features_than_its_rows_is_refused():
    with pytest.raises(DataError, match="names 1 features, a row has 2"):
        Normalize.empty(Schema("table", (2,), ("a", "b"), (Feature("x"),)))


def test_many_rows_have_the_statistics_of_all_of_them(monkeypatch: pytest.MonkeyPatch):
    inputs = torch.rand(50, *SERIES.shape)
    whole = Normalize.fit(inputs, SERIES)
    monkeypatch.setattr("stillhouse.models.normalize.CELLS", 70)
    parts = Normalize.fit(inputs, SERIES)
    torch.testing.assert_close(parts.mean, whole.mean)
    torch.testing.assert_close(parts.spread, whole.spread)
