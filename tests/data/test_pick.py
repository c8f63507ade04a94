import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.data.dataset import Dataset
from stillhouse.data.notices import AllTaken
from stillhouse.data.pick import pick, shares
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SettingsError


def train(targets: list[int], classes: int = 3) -> Dataset:
    inputs = torch.randn(len(targets), 2, generator=torch.Generator().manual_seed(1))
    schema = Schema("table", (2,), tuple("abcdef"[:classes]), (Feature("x"), Feature("y")))
    return Dataset(inputs, torch.tensor(targets), schema, torch.arange(len(targets)))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.data(), st.integers(0, 1))
@settings(deadline=None)
def test_shares_sum_up_fit_and_leave_no_stratum_out(
    counts: list[int], data: st.DataObject, least: int
) -> None:
    total = data.draw(st.integers(sum(min(least, c) for c in counts), sum(counts)))
    found = shares(counts, total, least)
    assert sum(found) == total
    assert all(
        min(least, count) <= taken <= count for taken, count in zip(found, counts, strict=True)
    )


def test_a_pick_is_stratified_disjoint_and_the_same_every_time() -> None:
    data = train([0] * 60 + [1] * 30 + [2] * 1 + [-1] * 30)
    first, again = pick(data, labelled=20, unlabelled=30), pick(data, labelled=20, unlabelled=30)
    assert first.labelled.tolist() == again.labelled.tolist()
    assert first.unlabelled.tolist() == again.unlabelled.tolist()
    counts = torch.bincount(data.targets[first.labelled], minlength=3).tolist()
    assert sum(counts) == 20
    assert counts[2] == 1
    assert counts[0] > counts[1] > counts[2]
    assert not set(first.labelled.tolist()) & set(first.unlabelled.tolist())
    assert len(first.unlabelled) == 30


def test_null_is_all_labelled_and_no_unlabelled_rows() -> None:
    found = pick(train([0, 1, 2, -1] * 5), labelled=None, unlabelled=None)
    assert len(found.labelled) == 15
    assert len(found.unlabelled) == 0


def test_more_than_there_are_takes_all_with_a_warning() -> None:
    data = train([0, 1, 2, -1] * 5)
    with pytest.warns(AllTaken, match="asks for 99 labelled rows, train has 15"):
        assert len(pick(data, labelled=99, unlabelled=0).labelled) == 15
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(pick(data, labelled=15, unlabelled=5).unlabelled) == 5


def test_fewer_labelled_rows_than_classes_are_refused() -> None:
    data = train([0, 1, 2] * 5)
    assert len(pick(data, labelled=3, unlabelled=0).labelled) == 3
    with pytest.raises(SettingsError, match="3 classes"):
        pick(data, labelled=2, unlabelled=0)
