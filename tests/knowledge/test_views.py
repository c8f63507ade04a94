import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse import failpoints
from stillhouse.data.dataset import Dataset
from stillhouse.data.view import Views
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import CLASSIFICATION
from stillhouse.knowledge.build import MANIFEST, build
from stillhouse.knowledge.store import Knowledge
from stillhouse.teachers.predictions import Listed
from stillhouse.workspace import write_atomic

SEEN = Views.of(3, ({"name": "shift", "pixels": 2},), 11, "image")


def stored(oracle: Any, digits: Dataset, place: Path, views: Views = SEEN) -> Path:
    build(
        oracle,
        digits,
        teacher="t" * 64,
        work=place / "work",
        write=lambda name, data: write_atomic(place / "store" / name, data),
        views=views,
        shard_rows=30,
    )
    return place / "store"


def test_an_answer_belongs_to_the_view_that_the_student_sees(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    found = Knowledge.open(stored(oracle, digits, tmp_path), digits, oracle)
    every = found.views.all(digits)
    said = CLASSIFICATION.stored(oracle.logits(every.inputs, every.rows)).float()
    assert found.every().shape == (300, 10)
    torch.testing.assert_close(found.every(), said, rtol=2e-3, atol=2e-3)
    assert not torch.allclose(found.logits(1), found.logits(0), atol=0.1)


def test_seeds_and_changes_are_stored_and_each_row_is_asked_once_a_view(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    folder = stored(oracle, digits, tmp_path)
    assert oracle.asked == 300
    manifest = json.loads((folder / MANIFEST).read_bytes())
    assert manifest["augmentation"] == {
        "count": 3,
        "augment": [{"name": "shift", "pixels": 2}],
        "seed": 11,
    }
    oracle.asked = 0
    Knowledge.open(folder, digits, oracle)
    assert oracle.asked == 8 + 2 + 2


def test_one_view_is_stored_as_it_always_was(oracle: Any, digits: Dataset, tmp_path: Path) -> None:
    folder = stored(oracle, digits, tmp_path, Views(1, (), 99))
    manifest = json.loads((folder / MANIFEST).read_bytes())
    assert sorted(manifest) == [
        "classes", "count", "data", "format", "rows", "sentinels", "shard_rows", "shards",
        "teacher", "views",
    ]  # fmt: skip
    assert all(sorted(s) == ["answer", "at", "row"] for s in manifest["sentinels"])
    found = Knowledge.open(folder, digits)
    assert torch.equal(found.every(), found.logits())
    assert found.views.all(digits) is digits


def test_a_view_that_is_now_drawn_otherwise_is_refused(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    folder = stored(oracle, digits, tmp_path)
    held = json.loads((folder / MANIFEST).read_bytes())
    held["augmentation"]["seed"] = 12
    (folder / MANIFEST).write_text(json.dumps(held))
    with pytest.raises(UsageError, match="now answers"):
        Knowledge.open(folder, digits, oracle)
    held["augmentation"]["seed"] = 11
    (folder / MANIFEST).write_text(json.dumps(held))
    Knowledge.open(folder, digits, oracle)


def test_a_build_that_died_in_the_second_view_goes_on_there(
    oracle: Any, digits: Dataset, tmp_path: Path
) -> None:
    failpoints.arm("knowledge.before_shard=raise@7")
    with pytest.raises(failpoints.Injected):
        stored(oracle, digits, tmp_path)
    failpoints.arm("")
    asked = oracle.asked
    folder = stored(oracle, digits, tmp_path)
    assert oracle.asked == 300 + 30
    assert asked == 100 + 3 * 30
    Knowledge.open(folder, digits, oracle)


def test_a_list_of_answers_knows_nothing_of_changed_rows(digits: Dataset, tmp_path: Path) -> None:
    listed = Listed(digits.rows, torch.full((len(digits), 10), 0.1), "probabilities")
    with pytest.raises(UsageError, match="answers by a row's number"):
        stored(listed, digits, tmp_path)
    stored(listed, digits, tmp_path, Views(1, (), 0))
