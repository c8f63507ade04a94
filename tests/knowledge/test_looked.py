from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.data.view import Views
from stillhouse.errors import SourceError, UsageError
from stillhouse.knowledge import store
from stillhouse.knowledge.build import build
from stillhouse.knowledge.store import Knowledge
from stillhouse.teachers.teacher import Oracle, oracle
from stillhouse.workspace import write_atomic


class Torch(Oracle):
    """A torch teacher of digits that counts how often it ran."""

    gives = frozenset({"logits", "features"})

    def __init__(self, scale: float = 1.0) -> None:
        torch.manual_seed(0)
        hidden = nn.Linear(64, 12)
        hidden.weight.data *= scale
        self.module = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(12, 10)).eval()

    def logits(self, inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = self.module(inputs)
        return found


def stored(teacher: Oracle, rows: Dataset, place: Path, *names: str, **more: Any) -> Knowledge:
    build(
        teacher,
        rows,
        teacher="t" * 64,
        work=place / "work",
        write=lambda name, data: write_atomic(place / "store" / name, data),
        shard_rows=30,
        features=names,
        **more,
    )
    return Knowledge.open(place / "store", rows, teacher)


def test_features_are_those_of_each_view_by_stage_or_path(digits: Dataset, tmp_path: Path) -> None:
    teacher = Torch()
    views = Views.of(2, ({"name": "shift"},), 0, "image")
    found = stored(teacher, digits, tmp_path, "penultimate", "1", views=views)
    seen = found.views.all(digits)
    features = found.features()
    assert list(features) == ["penultimate", "1"]
    with torch.no_grad():
        wanted = teacher.module[:2](seen.inputs)  # type: ignore[index]
    torch.testing.assert_close(features["1"], wanted, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(features["penultimate"], wanted.relu(), rtol=1e-3, atol=1e-3)


def test_many_features_are_mapped(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stored(Torch(), digits, tmp_path, "penultimate")
    whole = found.features(tmp_path)["penultimate"]
    assert whole.dtype == torch.float32
    monkeypatch.setattr(store, "MAPPED_BYTES", 100)
    mapped = found.features(tmp_path)["penultimate"]
    assert mapped.dtype == torch.float16
    assert torch.equal(mapped.float(), whole)


def test_without_features_nothing_of_them_is_stored(digits: Dataset, tmp_path: Path) -> None:
    found = stored(Torch(), digits, tmp_path)
    assert found.features() == {}
    assert "features" not in found.manifest


def test_a_black_box_and_a_tap_that_does_not_exist_are_refused(
    digits: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no features: it is no torch model"):
        stored(oracle(lambda inputs, rows: torch.zeros(len(rows), 10)), digits, tmp_path, "late")
    with pytest.raises(UsageError, match="no tap 'layer9'") as caught:
        stored(Torch(), digits, tmp_path, "layer9")
    assert caught.value.where == "knowledge.features"
    stored(Torch(), digits, tmp_path, "late")


def test_a_feature_that_fp16_cannot_hold_names_its_rows(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'1' is not a finite number, or above 65,504, for"):
        stored(Torch(scale=1e6), digits, tmp_path, "1")
