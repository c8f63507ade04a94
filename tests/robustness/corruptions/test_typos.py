import pytest
import torch

from stillhouse.attacks.space import Space
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import UsageError
from stillhouse.robustness.corruption import corrupt
from stillhouse.robustness.corruptions.typos import LEVELS, Typos
from stillhouse.steps import robustness

WARD = Feature("ward", kind="category", categories=("a", "b"))
AGE = Feature("age")


def test_a_category_becomes_unreadable_and_nothing_else_changes():
    schema = Schema("table", (2,), ("no", "yes"), (AGE, WARD))
    rows = torch.tensor([[30.0, 0.0], [50.0, 1.0]]).repeat(2000, 1)
    draw = torch.Generator().manual_seed(0)
    found = corrupt(Typos(), rows, severity=5, space=Space.of(schema, rows), generator=draw)
    assert torch.equal(found[:, 0], rows[:, 0])
    lost = found[:, 1].isnan()
    assert abs(float(lost.float().mean()) - LEVELS[4]) < 0.03
    assert torch.equal(found[~lost], rows[~lost])


def test_rows_without_categories_are_refused_by_name():
    asked = robustness.Settings(attacks=[], corruptions=[{"name": "typos"}])
    with_one = Schema("table", (2,), ("no", "yes"), (AGE, WARD))
    assert list(robustness.suite(asked, with_one, None, "").corruptions) == ["typos"]
    with pytest.raises(UsageError, match="'typos' misspells categories"):
        robustness.suite(asked, Schema("table", (1,), ("no", "yes"), (AGE,)), None, "")
