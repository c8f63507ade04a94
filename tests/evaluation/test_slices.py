import numpy as np
import pytest
import torch

from stillhouse.evaluation.slices import search
from stillhouse.evaluation.traits import TAILS, cuts, traits


def table(n=2000, seed=0):
    """Ages, sexes and a reading, of which one is missing now and then."""
    rng = np.random.default_rng(seed)
    reading = rng.normal(size=n)
    reading[::50] = np.nan
    sexes = np.array(["female", "male"], dtype=object)[rng.integers(0, 2, n)]
    return {"age": rng.integers(20, 90, n).astype(float), "sex": sexes, "reading": reading}


def of(measures):
    labels = {"class": (torch.zeros(len(measures["age"])).long(), ["class a"])}
    return traits(measures, cuts(measures), labels)


def test_a_pair_of_traits_that_collapses_is_found_first_and_named():
    measures = table()
    inside = (measures["age"] > 73) & (measures["sex"] == "female") & (measures["reading"] > 0.7)
    assert 0.01 < inside.mean() < 0.05
    rng = np.random.default_rng(1)
    wrong = torch.from_numpy(rng.random(2000) < np.where(inside, 0.8, 0.03))
    found = of(measures)
    first = search(found, wrong)[0]
    told = found.name(first)
    assert "sex = female" in told
    assert "age >" in told or "< age ≤" in told
    rows = found.rows(first).numpy()
    assert (rows & inside).sum() / inside.sum() > 0.6
    assert wrong[torch.from_numpy(rows)].double().mean() > 0.5


@pytest.mark.parametrize(
    ("measure", "inside", "name"),
    [
        (lambda rng, n: rng.choice([f"shop {at:02}" for at in range(40)], n), "shop 17", "shop 17"),
        (lambda rng, n: rng.normal(size=n), 2.054, "money > 2"),
        (lambda rng, n: -rng.normal(size=n), -2.054, "money ≤ -2"),
    ],
)
def test_two_per_cent_that_collapse_are_found_where_a_column_has_many_parts(measure, inside, name):
    rng = np.random.default_rng(0)
    values = measure(rng, 4000)
    if isinstance(inside, str):
        values = values.astype(object)
        hit = values == inside
    else:
        hit = values > inside if inside > 0 else values < inside
    assert 0.015 < hit.mean() < 0.03
    wrong = torch.from_numpy(rng.random(4000) < np.where(hit, 0.8, 0.08))
    found = of({"money": values, "age": rng.normal(size=4000)})
    first = search(found, wrong)[0]
    assert name in found.name(first)
    rows = found.rows(first).numpy()
    assert (rows & hit).sum() > 0.9 * max(rows.sum(), hit.sum())


def test_slices_that_share_most_of_their_rows_are_told_once():
    measures = table()
    measures["years"] = measures["age"] + 1.0
    wrong = torch.from_numpy(measures["age"] > 80)
    found = of(measures)
    names = [found.name(which) for which in search(found, wrong)]
    assert sum("age" in name or "years" in name for name in names[:2]) >= 1
    assert not any("age > 8" in name and "years > 8" in name for name in names[:1])


def test_without_any_error_the_largest_slices_are_told_and_of_few_rows_none():
    measures = table(200)
    found = of(measures)
    assert len(search(found, torch.zeros(200).bool())) == 8
    small = {name: values[:3] for name, values in measures.items()}
    assert search(of(small), torch.zeros(3).bool()) == []


def test_cuts_are_made_once_and_hold_for_other_rows():
    measures = table()
    made = cuts(measures)
    assert "reading missing" in {cut.name for cut in made}
    other = traits(table(40, seed=5), made, {})
    ranges = [at for at, cut in enumerate(made) if cut.family == "age"]
    quartiles = [at for at in ranges if made[at].low is not None or made[at].high is not None]
    inner = other.holds[quartiles[len(TAILS) : -len(TAILS)]].sum(dim=0)
    assert (inner == 1).all()  # the four quarters cover every age once


@pytest.mark.parametrize(
    "step", [1.0, 1e-3, 1e-4], ids=["four digits", "seven digits", "eight digits"]
)
@pytest.mark.parametrize("count", [5, 300])
def test_no_two_slices_of_a_column_are_called_alike(step, count):
    values = 1000 + step * np.arange(count).repeat(1 + 300 // count)
    made = cuts({"x": values})
    assert len(made) >= 5
    assert len({cut.name for cut in made}) == len(made)


def test_few_digits_are_told_where_they_tell_numbers_apart():
    made = cuts({"x": np.linspace(0, 1, 1001) / 3})
    assert "0.08333 < x ≤ 0.1667" in {cut.name for cut in made}


@pytest.mark.parametrize(
    "values",
    [np.full(50, 3.0), np.full(50, np.nan), 0.9988 + 5e-8 * np.arange(50) / 50],
    ids=["one value", "no value", "only rounding differs"],
)
def test_a_column_that_says_nothing_has_no_range(values):
    assert [cut.name for cut in cuts({"x": values}) if not cut.missing] == []
