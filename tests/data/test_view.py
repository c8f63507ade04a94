from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stillhouse import plugins
from stillhouse.data import view as room
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.data.sources.digits import Digits
from stillhouse.data.view import Views
from stillhouse.errors import DataError, UsageError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return Digits().read(Path()).take(torch.arange(90))


def test_view_0_is_the_row_and_one_view_is_the_data_set(digits: Dataset) -> None:
    views = Views.of(3, (), 0, "image")
    assert torch.equal(views.look(digits, 0).inputs, digits.inputs)
    assert Views.of(1, (), 0, "image").all(digits) is digits


def test_views_differ_from_one_another_and_are_the_same_every_time(digits: Dataset) -> None:
    views = Views.of(3, ({"name": "shift", "pixels": 2},), 5, "image")
    one, two = views.look(digits, 1).inputs, views.look(digits, 2).inputs
    assert not torch.equal(one, two)
    assert torch.equal(Views.from_dict(views.as_dict()).look(digits, 1).inputs, one)
    assert not torch.equal(replace(views, seed=6).look(digits, 1).inputs, one)


def test_a_part_of_a_view_is_the_part_of_the_view(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BLOCK", 20)
    views = Views.of(2, ({"name": "shift"}, {"name": "mixup"}), 0, "image")
    whole = views.look(digits, 1)
    for start, stop in ((0, 90), (20, 40), (33, 51), (80, 200)):
        part = views.look(digits, 1, start, stop)
        assert torch.equal(part.inputs, whole.inputs[start:stop])
        assert torch.equal(part.rows, digits.rows[start:stop])


def test_all_views_stand_one_after_another(digits: Dataset) -> None:
    views = Views.of(3, (), 0, "image")
    every = views.all(digits)
    assert len(every) == 270
    assert torch.equal(every.rows, digits.rows.repeat(3))
    assert torch.equal(every.targets, digits.targets.repeat(3))
    assert torch.equal(every.inputs[180:], views.look(digits, 2).inputs)


def test_where_a_label_no_longer_holds_there_is_none(digits: Dataset) -> None:
    every = Views.of(2, ({"name": "shift"}, {"name": "mixup"}), 0, "image").all(digits)
    assert torch.equal(every.targets[:90], digits.targets)
    assert (every.targets[90:] == -1).all()


def test_a_view_of_other_rows_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'flip' takes image, not table data"):
        Views.of(2, ({"name": "flip"},), 0, "table")
    Views.of(2, ({"name": "swap"},), 0, "table")


MINE = """
import torch
from torch import Tensor
from stillhouse.data.schema import Schema
from stillhouse.data.view import View
class Doubled(View):
    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:
        return inputs * 2
class Broken(View):
    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:
        return inputs / 0
class Smaller(View):
    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:
        return inputs[:, :, 1:]
"""


def test_a_user_s_view_is_held_inside_the_bounds_and_to_its_word(
    digits: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    plugins.use(["mine.py"], tmp_path)
    try:
        found = Views.of(2, ({"name": "doubled"},), 0, "image").look(digits, 1)
        assert (found.inputs.amin(), found.inputs.amax()) == (0, 1)
        for name, said in (("broken", "no number"), ("smaller", "keeps shape")):
            with pytest.raises(DataError) as caught:
                Views.of(2, ({"name": name},), 0, "image").look(digits, 1)
            assert said in str(caught.value)
    finally:
        plugins.use([], tmp_path)


def test_synthetic_rows_of_a_table_keep_what_holds_between_its_columns() -> None:
    features = (Feature("systolic"), Feature("diastolic", missing=True), Feature("age"))
    draw = torch.Generator().manual_seed(0)
    low = 60 + 200 * torch.rand(300, generator=draw)
    inputs = torch.stack([low + 0.1 + torch.rand(300, generator=draw), low, low], dim=1)
    inputs[7, 1] = torch.nan
    free = Schema("table", (3,), ("a", "b"), features)
    rows = Dataset(inputs, torch.zeros(300, dtype=torch.int64), free, torch.arange(300))
    grown = Views.of(2, ({"name": "munge"},), 0, "table")
    broken = grown.look(rows, 1).inputs
    assert (broken[:, 0] <= broken[:, 1]).any()
    bound = replace(free, constraints=("systolic > diastolic",))
    found = grown.look(replace(rows, schema=bound), 1).inputs
    assert not (found[:, 0] <= found[:, 1]).any()
    assert torch.equal(found[:, 2], broken[:, 2])  # of what no constraint speaks stays changed
    fine = broken[:, 0] > broken[:, 1]
    assert torch.equal(found[fine], broken[fine])
