import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.data.codes import group_code
from stillhouse.data.dataset import Dataset
from stillhouse.data.keys import row_keys
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.splits import Split, assign, require_splits, uneven
from stillhouse.errors import DataError, SettingsError


def table(
    inputs: torch.Tensor,
    targets: torch.Tensor,
    groups: torch.Tensor | None = None,
    time: torch.Tensor | None = None,
) -> Dataset:
    schema = Schema(
        "table",
        (inputs.shape[1],),
        ("a", "b"),
        tuple(Feature(f"x{i}") for i in range(inputs.shape[1])),
    )
    return Dataset(inputs, targets, schema, torch.arange(len(inputs)), groups, time)


def rows(count: int, *, seed: int = 0) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 3, generator=generator)
    return table(
        inputs, torch.arange(count) % 2, torch.arange(count) // 5, torch.arange(count).double()
    )


@given(
    st.integers(1, 60), st.integers(0, 60), st.integers(0, 1000), st.sampled_from(["row", "group"])
)
@settings(max_examples=60, deadline=None)
def test_no_row_leaves_its_split_as_data_grow(first: int, more: int, seed: int, by: str) -> None:
    every = rows(first + more, seed=seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(first + more))
    grown, split = every.take(order), Split(by=by, val=0.2, test=0.3)  # type: ignore[arg-type]
    before = dict(
        zip(range(first), assign(every.take(torch.arange(first)), split).tolist(), strict=True)
    )
    after = dict(zip(grown.rows.tolist(), assign(grown, split).tolist(), strict=True))
    assert all(after[row] == place for row, place in before.items())


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60))
@settings(max_examples=60, deadline=None)
def test_duplicates_never_straddle_splits(values: list[int]) -> None:
    places = assign(
        table(torch.tensor(values).float()[:, None], torch.zeros(len(values), dtype=torch.int64)),
        Split(),
    ).tolist()
    assert all(
        len({p for v, p in zip(values, places, strict=True) if v == value}) == 1 for value in values
    )


def test_groups_never_straddle_splits_and_shares_are_met_on_average() -> None:
    data = rows(5000)
    by_row = assign(data, Split(val=0.1, test=0.3))
    assert abs((by_row == 2).float().mean().item() - 0.3) < 0.03
    assert abs((by_row == 1).float().mean().item() - 0.1) < 0.03
    by_group = assign(data, Split(by="group")).reshape(-1, 5)
    assert (by_group == by_group[:, :1]).all()


def test_a_new_category_moves_no_row() -> None:
    def coded(categories: tuple[str, ...], names: list[str]) -> Dataset:
        schema = Schema(
            "table",
            (2,),
            ("a", "b"),
            (Feature("c", "category", categories=categories), Feature("x")),
        )
        codes = torch.tensor([[float(categories.index(n)), float(i)] for i, n in enumerate(names)])
        return Dataset(codes, torch.arange(len(names)) % 2, schema, torch.arange(len(names)))

    names = ["red", "green"] * 20
    before, after = (
        coded(("green", "red"), names),
        coded(("blue", "green", "red"), [*names, "blue"]),
    )
    assert row_keys(before) == row_keys(after)[:40]
    numbers = coded(("10", "9"), ["9", "10"] * 20)
    plain = table(
        torch.tensor([[[9.0, 10.0][i % 2], float(i)] for i in range(40)]), torch.arange(40) % 2
    )
    assert len(set(row_keys(numbers))) == len(set(row_keys(plain))) == 40


def test_zero_has_no_sign_and_missing_is_missing() -> None:
    nan, other = torch.tensor([0x7FC00000, 0x7FC00001], dtype=torch.int32).view(torch.float32)
    keys = row_keys(
        table(
            torch.tensor([[0.0, nan], [-0.0, other], [0.0, 1.0]]), torch.zeros(3, dtype=torch.int64)
        )
    )
    assert keys[0] == keys[1] != keys[2]


def test_unlabelled_rows_are_train_unless_they_show_what_is_held_back() -> None:
    data = rows(200)
    places = assign(data, Split())
    held = int((places == 2).nonzero()[0])
    copies = torch.cat([data.inputs, data.inputs[held : held + 1], torch.randn(50, 3) + 10])
    grown = table(copies, torch.cat([data.targets, torch.full((51,), -1)]))
    found = assign(grown, Split())
    assert found[:200].tolist() == places.tolist()
    assert found[200] == -1
    assert (found[201:] == 0).all()


def test_the_latest_rows_are_test_and_those_before_them_val() -> None:
    data = rows(100)
    order = torch.randperm(100)
    places = assign(data.take(order), Split(by="time", val=0.1, test=0.3))
    by_time = places[order.argsort()]
    assert by_time.tolist() == [0] * 60 + [1] * 10 + [2] * 30


def test_equal_times_stay_together() -> None:
    data = table(
        torch.randn(20, 1),
        torch.arange(20) % 2,
        time=torch.tensor([0.0] * 8 + [1.0] * 4 + [2.0] * 8).double(),
    )
    places = assign(data, Split(by="time", val=0.2, test=0.3))
    assert places.tolist() == [0] * 8 + [1] * 4 + [2] * 8


@pytest.mark.parametrize("by", ["group", "time"])
def test_a_split_by_what_the_rows_do_not_have_is_refused(by: str) -> None:
    data = rows(50)
    assert len(assign(data, Split(by=by))) == 50  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"by {by}"):
        assign(table(data.inputs, data.targets), Split(by=by))  # type: ignore[arg-type]


def test_shares_must_leave_a_train_share() -> None:
    assert Split(val=0.4, test=0.5)
    with pytest.raises(SettingsError, match="leave nothing"):
        Split(val=0.5, test=0.5)


def test_a_split_without_rows_or_with_one_class_is_refused() -> None:
    data = rows(100)
    places = torch.tensor([0, 0, 1, 1, 2, 2] * 16 + [0] * 4)
    assert require_splits(data, places, Split()) == []
    with pytest.raises(DataError, match="no labelled row of 100 falls into val"):
        require_splits(data, places * 2 % 3 * 0, Split())
    with pytest.raises(DataError, match="none of 100 rows has a label"):
        require_splits(replace(data, targets=torch.full((100,), -1)), places, Split())
    only_a = torch.where(data.targets == 0, 2, torch.where(torch.arange(100) < 50, 0, 1))
    with pytest.raises(DataError, match="only one class, 'b'"):
        require_splits(data, only_a, Split())


def test_a_class_that_val_lacks_is_told_and_one_that_train_lacks_is_refused() -> None:
    schema = Schema("table", (1,), ("a", "b", "c"), (Feature("x"),))
    data = Dataset(torch.randn(12, 1), torch.arange(12) % 3, schema, torch.arange(12))
    places = torch.arange(12) // 3 % 3
    assert require_splits(data, places, Split()) == []
    without = torch.where((data.targets == 2) & (places == 1), 0, places)
    assert require_splits(data, without, Split()) == [
        "val has no row of the class 'c'; nothing is measured of it there."
    ]
    with pytest.raises(DataError, match="'c' falls into train"):
        require_splits(data, torch.where(data.targets == 2, 1, places), Split())


def hospitals(*sizes: int) -> Dataset:
    """Rows of hospitals h0, h1, … with these many rows each."""
    names = [f"h{at}" for at, size in enumerate(sizes) for _ in range(size)]
    every = rows(len(names))
    codes = torch.tensor([group_code(name) for name in names])
    return table(every.inputs, every.targets, codes, None)


def test_a_split_of_few_groups_says_how_far_it_is_and_which_seed_is_nearer() -> None:
    dataset = hospitals(303, 294, 123, 200)
    told = [uneven(dataset, Split(by="group", val=0.15, test=0.3, seed=seed)) for seed in range(20)]
    [seed] = {
        re.search(r"seed: ([0-9]+) comes nearest", text)[1] for text in told if "seed:" in text
    }  # type: ignore[index]
    best = Split(by="group", val=0.15, test=0.3, seed=int(seed))
    assert uneven(dataset, best) == ""
    assert any("4 groups fall into train, val and test as" in text for text in told)
    many = rows(4000)
    assert uneven(many, Split(by="group")) == ""
    assert uneven(dataset, Split()) == ""


def test_named_groups_are_held_out_and_the_others_hashed_over_what_is_left() -> None:
    dataset = hospitals(30, 30, 30, 30, 30, 30)
    split = Split(by="group", val=0.3, test=0.2, test_groups=("h3",))
    places = assign(dataset, split)
    assert set(places[90:120].tolist()) == {2}
    assert 2 not in set(torch.cat([places[:90], places[120:]]).tolist())
    both = assign(dataset, replace(split, val_groups=("h0", "h1")))
    assert both.reshape(6, 30)[:, 0].tolist() == [1, 1, 0, 2, 0, 0]
    assert uneven(dataset, split) == ""
    groups = rows(5000)
    shares = assign(groups, Split(by="group", val=0.3, test=0.2, test_groups=("0",)))
    assert abs(float((shares == 1).double().mean()) - 0.3 / 0.8) < 0.05


def test_a_group_that_is_not_there_or_named_twice_is_refused() -> None:
    dataset = hospitals(30, 30, 30)
    with pytest.raises(SettingsError, match="no row has the group 'h9'"):
        assign(dataset, Split(by="group", test_groups=("h9",)))
    with pytest.raises(SettingsError, match="the group 'h1' is named for val and for test"):
        Split(by="group", val_groups=("h1",), test_groups=("h1", "h2"))
    with pytest.raises(SettingsError, match="the split is by row"):
        Split(test_groups=("h1",))
    assert len(assign(dataset, Split(by="group", test_groups=("h1",)))) == 90


def test_one_subject_only_is_refused_by_group_and_taken_by_row() -> None:
    alone = hospitals(60)
    by_group = Split(by="group")
    with pytest.raises(DataError, match=r"all labelled rows are of 1 group,.*split by row"):
        require_splits(alone, assign(alone, by_group), by_group)
    by_row = Split(val=0.2)
    assert require_splits(alone, assign(alone, by_row), by_row) == []


def test_a_split_that_no_group_falls_into_is_refused_with_a_seed_that_fills_it() -> None:
    dataset = hospitals(*[200] * 6)
    empty = next(
        split
        for split in (Split(by="group", val=0.15, test=0.2, seed=seed) for seed in range(50))
        if 1 not in assign(dataset, split).tolist()
    )
    with pytest.raises(DataError, match=r"no labelled row of 1200 falls into val") as caught:
        require_splits(dataset, assign(dataset, empty), empty)
    seed = re.search(r"seed: ([0-9]+) comes nearest", str(caught.value))
    assert seed is not None
    filled = replace(empty, seed=int(seed[1]))
    assert require_splits(dataset, assign(dataset, filled), filled) == []
