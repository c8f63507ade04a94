from dataclasses import replace

import pytest
import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Quantity, Schema
from stillhouse.errors import SettingsError
from stillhouse.evaluation.weights import class_weights

ROWS = Dataset(
    torch.zeros(7, 1),
    torch.tensor([0, 0, 0, 1, -1, -1, 0]),
    Schema("table", (1,), ("well", "ill"), (Feature("x"),)),
    torch.arange(7),
)


def test_balanced_weights_give_each_class_the_same_mass_and_rows_the_mean_1():
    weights = class_weights("balanced", ROWS, "w")
    assert weights is not None
    assert weights.tolist() == pytest.approx([5 / 8, 5 / 2])
    assert (4 * weights[0] + weights[1]).item() == pytest.approx(5)


def test_named_classes_weigh_what_they_are_given_and_others_1():
    weights = class_weights({"ill": 4.0}, ROWS, "w")
    assert weights is not None
    assert weights.tolist() == [1.0, 4.0]
    assert class_weights(None, ROWS, "w") is None


def test_an_unknown_class_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match=r"no class 'il'.*ill"):
        class_weights({"il": 4.0}, ROWS, "distill.class_weights")


def test_a_quantity_has_none():
    schema = replace(ROWS.schema, classes=(), task="regression", quantity=Quantity("dust"))
    rows = replace(ROWS, schema=schema, targets=ROWS.targets.float())
    with pytest.raises(SettingsError, match="'dust' is a quantity"):
        class_weights("balanced", rows, "distill.class_weights")
