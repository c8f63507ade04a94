from dataclasses import replace

import pytest
import torch

from stillhouse.data.dataset import Dataset, known
from stillhouse.data.pick import pick
from stillhouse.data.schema import Feature, Quantity, Schema
from stillhouse.data.splits import Split, assign, require_splits
from stillhouse.data.statistics import statistics
from stillhouse.data.targets import Classes, Quantities, targets_of
from stillhouse.errors import DataError, SourceError

SCHEMA = Schema("table", (1,), (), (Feature("x"),), "regression", Quantity("dust", "µg"))


def rows(targets: list[float]) -> Dataset:
    inputs = torch.arange(len(targets)).float()[:, None]
    return Dataset(inputs, torch.tensor(targets), SCHEMA, torch.arange(len(targets)))


def test_a_schema_says_which_sort_it_is():
    assert isinstance(targets_of(SCHEMA), Quantities)
    assert isinstance(targets_of(replace(SCHEMA, classes=("a", "b"), quantity=None)), Classes)


def test_what_is_not_said_of_a_schema_is_not_stored_nor_part_of_its_identity():
    plain = Schema("table", (1,), ("a", "b"), (Feature("x"),))
    assert "quantity" not in plain.as_dict()
    assert "constraints" not in plain.as_dict()
    assert plain.identity == repr(plain)
    assert Schema.from_dict(SCHEMA.as_dict()) == SCHEMA
    assert SCHEMA.identity != replace(SCHEMA, quantity=Quantity("dust", "mg")).identity


def test_unlabelled_rows_are_nan():
    assert known(torch.tensor([1.0, torch.nan])).tolist() == [True, False]
    assert known(torch.tensor([0, -1])).tolist() == [True, False]
    assert len(rows([1.0, torch.nan, 2.0]).labelled) == 2


def test_rows_that_all_have_a_target_are_not_copied():
    all_known = rows([1.0, 2.0])
    assert all_known.labelled is all_known
    assert rows([1.0, torch.nan]).labelled.inputs.tolist() == [[0.0]]


def test_targets_that_are_all_alike_are_refused_and_two_values_are_taken():
    Quantities().require(rows([1.0, 2.0]), where="here")
    with pytest.raises(SourceError, match="every target is 1"):
        Quantities().require(rows([1.0, 1.0]), where="here")
    with pytest.raises(SourceError, match="no row has a target"):
        Quantities().require(rows([torch.nan]), where="here")


def test_faults_are_told():
    assert Quantities().fault(torch.tensor([1.0, torch.nan])) == ""
    assert "infinite" in Quantities().fault(torch.tensor([torch.inf]))
    assert "codes" in Quantities().fault(torch.tensor([1]))
    assert "0 to 2 for 2 classes" in Classes(("a", "b")).fault(torch.tensor([0, 2]))


def test_rows_are_picked_with_and_without_their_targets():
    found = pick(rows([float(at) for at in range(20)]), labelled=5, unlabelled=7)
    assert len(found.labelled) == 5
    assert len(found.unlabelled) == 7
    assert not set(found.labelled.tolist()) & set(found.unlabelled.tolist())


def test_a_split_of_one_value_is_refused():
    data = rows([float(at) for at in range(200)])
    places = assign(data, Split())
    assert require_splits(data, places, Split()) == []
    flat = replace(data, targets=torch.where(places == 1, 3.0, data.targets))
    with pytest.raises(DataError, match=r"val has .* of only one value, 3"):
        require_splits(flat, places, Split())


def test_statistics_tell_the_targets_mean_and_spread():
    found = statistics(rows([1.0, 3.0, torch.nan]))
    assert found["classes"] == []
    assert found["target"] == {"mean": 2.0, "std": 1.0}
