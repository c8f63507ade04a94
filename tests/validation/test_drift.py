import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from stillhouse.data.dataset import Dataset
from stillhouse.data.measures import measures
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.statistics import statistics
from stillhouse.validation.drift import Drift, difference, drift, holm, stability
from stillhouse.workspace import dump_json

TABLE = Schema(
    "table",
    (12,),
    ("no", "yes"),
    (
        *(Feature(f"x{at}", missing=True) for at in range(10)),
        Feature("stage", "integer"),
        Feature("ward", "category", categories=("east", "north", "south")),
    ),
)


def rows(count: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 12, generator=generator)
    inputs[:, 10] = torch.randint(0, 5, (count,), generator=generator).float()
    inputs[:, 11] = torch.randint(0, 3, (count,), generator=generator).float()
    targets = torch.randint(0, 2, (count,), generator=generator)
    return Dataset(inputs, targets, TABLE, torch.arange(count))


def moved(before: Dataset, now: Dataset) -> Drift:
    """Compare as the gate does: the champion's statistics come back from JSON."""
    stored = json.loads(dump_json(statistics(before)))
    return drift(
        stored, statistics(now), measures(now), targets=now.targets.numpy(), against="version 3"
    )


def names(found: Drift) -> list[str]:
    return [one.name for one in found.drifted]


def test_other_rows_of_the_same_source_do_not_drift() -> None:
    alarms = [
        len(moved(rows(800, 2 * seed), rows(700, 2 * seed + 1)).drifted) for seed in range(30)
    ]
    assert sum(alarms) == 0
    same = moved(rows(300, 0), rows(300, 0))
    assert (same.share, same.rows, same.gone, same.new) == (0.0, (300, 300), (), ())
    assert all(one.psi == 0 and one.p == 1 for one in same.features)


def shifted(dataset: Dataset) -> Dataset:
    inputs = dataset.inputs.clone()
    inputs[:, 4] += 1.0
    return replace(dataset, inputs=inputs)


def gapped(dataset: Dataset) -> Dataset:
    inputs = dataset.inputs.clone()
    inputs[::3, 7] = torch.nan
    return replace(dataset, inputs=inputs)


def moved_ward(dataset: Dataset) -> Dataset:
    inputs = dataset.inputs.clone()
    inputs[::2, 11] = 3
    named = Feature("ward", "category", categories=("east", "north", "south", "west"))
    schema = replace(dataset.schema, features=(*dataset.schema.features[:-1], named))
    return replace(dataset, inputs=inputs, schema=schema)


def rare(dataset: Dataset) -> Dataset:
    return replace(dataset, targets=(torch.arange(len(dataset)) % 5 == 0).long())


def widened(dataset: Dataset) -> Dataset:
    inputs = dataset.inputs.clone()
    inputs[:, 2] *= 2.5
    return replace(dataset, inputs=inputs)


@pytest.mark.parametrize(
    ("change", "name", "where"),
    [
        (shifted, "x4", "above"),
        (widened, "x2", "0 %|above|up to"),
        (gapped, "x7", "missing: 0 % before, 33 % now"),
        (moved_ward, "ward", "other: 0 % before, 50 % now"),
        (rare, "(target)", "20 % now|80 % now"),
    ],
)
def test_the_feature_that_moved_is_named_and_no_other(change, name: str, where: str) -> None:  # type: ignore[no-untyped-def]

    found = moved(rows(800, 0), change(rows(700, 1)))
    assert names(found) == [name]
    assert re.search(where, found.features[0].where), found.features[0].where
    assert found.share == 1 / 13


def test_a_small_difference_in_many_rows_is_real_but_not_large() -> None:
    now = rows(60_000, 1)
    now.inputs[:, 0] += 0.05
    found = next(one for one in moved(rows(60_000, 0), now).features if one.name == "x0")
    assert found.p < 1e-6
    assert found.psi < 0.1
    assert not found.drifted


def test_a_feature_that_is_gone_or_new_counts_as_moved() -> None:
    now = rows(300, 1)
    schema = replace(TABLE, features=(Feature("other"), *TABLE.features[1:]))
    found = moved(rows(300, 0), replace(now, schema=schema))
    assert (found.gone, found.new, found.share) == (("x0",), ("other",), 2 / 14)


def test_images_drift_by_brightness_contrast_and_noise() -> None:
    schema = Schema("image", (1, 8, 8), ("no", "yes"), (Feature("grey", low=0.0, high=1.0),))

    def images(seed: int) -> Dataset:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.rand(400, 1, 1, 1, generator=generator) * torch.linspace(0, 1, 64).view(
            1, 1, 8, 8
        )
        return Dataset(inputs, torch.arange(400) % 2, schema, torch.arange(400))

    before, now = images(0), images(1)
    assert names(moved(before, now)) == []
    noisy = replace(now, inputs=(now.inputs + 0.3 * torch.rand(400, 1, 8, 8)).clamp(0, 1))
    assert "grey, step" in names(moved(before, noisy))
    assert "grey, mean" in names(moved(before, replace(now, inputs=(now.inputs + 0.4).clamp(0, 1))))


def test_p_values_are_those_of_the_chi_square_test() -> None:
    before, now = [30, 50, 20, 0, 0], [45, 40, 30, 0, 0]
    expected = chi2_contingency(np.array([before[:3], now[:3]]), correction=False).pvalue
    assert difference(before, now) == pytest.approx(expected)
    assert difference([3, 1], [2, 2]) == 1.0
    assert difference([0, 0], [5, 5]) == 1.0
    assert stability([25, 75], [25, 75]) == 0.0
    assert stability([900, 100], [100, 900]) > 3
    assert holm([0.01, 0.5, 0.02]) == pytest.approx([0.03, 0.5, 0.04])
