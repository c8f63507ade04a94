from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.clock import SYSTEM
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.distillation.arms import STUDENT
from stillhouse.steps import arm as arms
from stillhouse.steps import engines
from stillhouse.steps.engines import Engines
from stillhouse.steps.trials import Trials
from stillhouse.training.fit import fit

SECTION: dict[str, Any] = {
    "student": {"name": "convnet", "width": 4, "depth": 2},
    "method": {"name": "kd"},
    "batch": 8,
}


def images(rows: int) -> Dataset:
    schema = Schema("image", (3, 8, 8), ("a", "b"), (Feature("ink", low=0, high=1),) * 3)
    inputs = torch.rand(rows, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return Dataset(inputs, torch.arange(rows) % 2, schema, torch.arange(rows))


def test_a_probe_tries_each_pace_on_weights_that_no_other_pace_laid_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []

    def watched(model: Any, *args: Any, **how: Any) -> Any:
        filters = [held for held in model.parameters() if held.ndim == 4]
        seen.append((how["pace"], all(held.is_contiguous() for held in filters)))
        return fit(model, *args, **how)

    monkeypatch.setattr(engines, "fit", watched)
    material = arms.Material(images(16), images(8), torch.zeros(16, 2))
    trials = Trials(tmp_path, STUDENT, SECTION, "", tmp_path, seed=0, source=lambda *_: material)
    timing: dict[str, float] = {}
    crew = Engines("auto", trials, 1, None, SYSTEM, timing, lambda done, total, note: None)
    assert crew.choose() in engines.PACES
    # a second look at the plain pace comes after another one has laid the weights out anew
    assert [pace for pace, _ in seen].count("plain") > 1
    assert ("channels_last", True) in seen
    assert all(contiguous for _, contiguous in seen)
    assert set(timing) == {f"engine/student/{name}/seconds" for name in engines.PACES}
