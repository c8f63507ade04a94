import numpy as np
import pytest

from stillhouse.data.sketch import Sketch, sketch


def test_every_value_is_counted_once() -> None:
    values = np.random.default_rng(0).normal(size=500)
    values[:7] = np.nan
    found = sketch("x", values)
    assert (found.form, len(found.marks), len(found.counts)) == ("edges", 9, 11)
    assert sum(found.counts) == 500
    assert found.counts[-1] == 7
    assert max(found.counts[:-1]) - min(found.counts[:-1]) <= 2
    assert len(found.labels) == len(found.counts)


def test_few_values_and_names_are_counted_each() -> None:
    few = sketch("stage", np.array([1.0, 2.0, 2.0, np.nan]))
    assert (few.form, few.marks, few.counts) == ("values", (1.0, 2.0), (1, 2, 0, 1))
    assert few.count(np.array([2.0, 9.0])) == (0, 1, 1, 0)
    names = sketch("ward", np.array(["a", "b", "b", None], dtype=object))
    assert (names.form, names.marks, names.counts) == ("names", ("a", "b"), (1, 2, 0, 1))
    assert names.count(np.array(["b", "c", None], dtype=object)) == (0, 1, 1, 1)
    many = sketch("id", np.array([f"n{at}" for at in range(200)], dtype=object))
    assert (len(many.marks), many.counts[-2]) == (50, 150)


@pytest.mark.parametrize(
    "values",
    [
        np.array([np.nan, np.nan]),
        np.array([None, None], dtype=object),
        np.zeros(0),
        np.arange(40.0),
        np.repeat([0.0, 1.0], 9),
    ],
)
def test_a_sketch_comes_back_from_json_and_counts_its_own_values(values: np.ndarray) -> None:
    found = sketch("x", values)
    again = Sketch.from_dict(found.as_dict())
    assert again == found
    assert again.count(values) == found.counts
    assert sum(found.counts) == len(values)
