import numpy as np
import pytest
import torch

from stillhouse.data.columns import Column
from stillhouse.data.dataset import Dataset, known
from stillhouse.data.labels import MAX_LABELS, labels_of, labels_of_columns
from stillhouse.data.pick import pick
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.targets import targets_of
from stillhouse.errors import SettingsError, SourceError

NAN = float("nan")
NAMES = ("sport", "music", "war")
SCHEMA = Schema("table", (1,), (), (Feature("x"),), "multi_label", labels=NAMES)
TOLD = torch.tensor(
    [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1], [NAN, NAN, NAN], [0, NAN, 1]]
)


def dataset(targets: torch.Tensor = TOLD) -> Dataset:
    rows = torch.arange(len(targets))
    return Dataset(rows[:, None].float(), targets, SCHEMA, rows)


def test_a_schema_of_labels_comes_back_from_json_and_answers_by_label():
    assert Schema.from_dict(SCHEMA.as_dict()) == SCHEMA
    assert Schema.from_dict(SCHEMA.as_dict()).labels == NAMES
    assert SCHEMA.outputs == NAMES
    assert "labels" not in Schema("table", (1,), ("a", "b"), ()).as_dict()
    other = Schema("table", (1,), (), (Feature("x"),), "multi_label", labels=("a", "b", "c"))
    assert other.identity != SCHEMA.identity


def test_a_row_of_which_one_label_is_known_is_labelled():
    assert known(TOLD).tolist() == [True, True, True, True, True, False, True]
    assert len(dataset().labelled) == 6


@pytest.mark.parametrize("made", [np.array([[1, 0], [0, -1]]), np.array([[1.0, 0.0], [0.0, NAN]])])
def test_a_matrix_says_yes_no_and_nobody_knows(made):
    found, names = labels_of(made, (), 2, "targets")
    assert found[0].tolist() == [1.0, 0.0]
    assert found[1, 0] == 0
    assert found[1, 1].isnan()
    assert names == ("label 0", "label 1")


@pytest.mark.parametrize(
    ("made", "names", "said"),
    [
        (np.array([[1, 2], [0, 1]]), (), r"row 0 holds 2 in column 1.*1 or 0"),
        (np.array([1, 0]), (), r"matrix of 0 and 1, \[2, L\]"),
        (np.array([["a", "b"], ["c", "d"]]), (), "matrix of 0 and 1"),
        (np.array([[1], [0]]), (), "one alone is a yes or no"),
        (np.zeros((2, MAX_LABELS + 1)), (), "more than 1,000"),
        (np.zeros((2, 2)), ("a", "b", "c"), "names 3 labels, the matrix has 2"),
        (np.zeros((2, 2)), ("a", "a"), "names 1 labels"),
    ],
)
def test_what_is_no_matrix_of_labels_is_refused(made, names, said):
    labels_of(np.zeros((2, 2)), ("a", "b"), 2, "targets")
    with pytest.raises(SourceError, match=said):
        labels_of(made, names, 2, "targets")


def columns(*cells: list[str | None]) -> list[Column]:
    return [Column(f"c{at}", each, [2, 3], "rows.csv") for at, each in enumerate(cells)]


def test_cells_say_yes_or_no_in_several_words():
    found, names = labels_of_columns(columns(["1", "no"], ["True", None]), "rows.csv")
    assert names == ("c0", "c1")
    assert found.nan_to_num(-1).tolist() == [[1.0, 1.0], [0.0, -1.0]]
    with pytest.raises(SourceError, match=r"column 'c1'.*line 3 holds '2'.*1 or 0"):
        labels_of_columns(columns(["1", "0"], ["1", "2"]), "rows.csv")


def test_rows_are_filed_under_the_rarest_label_that_they_have():
    found = targets_of(SCHEMA).strata(TOLD)
    assert found == {-1: [5], 0: [0], 1: [1, 2], 2: [4, 6], 3: [3]}


def test_the_arms_see_a_row_of_each_rarest_label_or_fewer_are_refused():
    picked = pick(dataset(), labelled=4, unlabelled=1)
    strata = [{0}, {1, 2}, {4, 6}, {3}]
    assert all(set(picked.labelled.tolist()) & one for one in strata)
    with pytest.raises(SettingsError, match="one of each of 4 rarest labels"):
        pick(dataset(), labelled=3, unlabelled=0)


def test_what_is_lacking_and_what_is_alike_is_told_in_words():
    sort = targets_of(SCHEMA)
    assert sort.lacking(TOLD) == []
    assert sort.lacking(TOLD[:4]) == ["the label 'war'"]
    assert sort.lacking(TOLD[:2]) == ["any other than the label 'sport'", "the label 'war'"]
    assert sort.alike(TOLD[3:4]) == "without any label"
    assert sort.alike(torch.ones(2, 3)) == "with every label"
    assert sort.alike(TOLD) == ""
    assert sort.statistics(TOLD)["label_rows"] == {
        "sport": [3, 3],
        "music": [2, 3],
        "war": [2, 4],
    }


def test_a_label_that_two_rows_do_not_have_or_lack_is_refused():
    sort = targets_of(SCHEMA)
    sort.require(dataset(), where="rows.csv")
    with pytest.raises(SourceError, match="no row has the label 'war'"):
        sort.require(dataset(TOLD[:4]), where="rows.csv")
    with pytest.raises(SourceError, match=r"one row, .* has the label 'war'"):
        sort.require(dataset(TOLD[:5]), where="rows.csv")
    with pytest.raises(SourceError, match="no row has a label that is known"):
        sort.require(dataset(TOLD[5:6]), where="rows.csv")


def test_targets_of_another_sort_are_named():
    sort = targets_of(SCHEMA)
    assert sort.fault(TOLD) == ""
    assert "for 3 labels" in sort.fault(TOLD[:, :2])
    assert "neither 0 nor 1" in sort.fault(TOLD + 0.5)
    classes = targets_of(Schema("table", (1,), ("a", "b"), ()))
    assert classes.fault(torch.tensor([0, 1])) == ""
    assert "not one class a row" in classes.fault(TOLD)
