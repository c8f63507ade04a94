"""Several trainings in one loop, in a process of their own that a failpoint may kill:
`python killed_fleet.py CHECKPOINT`.
"""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from training.blobs import blobs

from stillhouse import failpoints, workspace
from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import TrainingFailed
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.models.outputs import Batch
from stillhouse.training.fit import FitSettings, Fitted
from stillhouse.training.fleet import Member, fit_together
from stillhouse.training.objective import Labels

TABLE = blobs(50)
IMAGES = Schema("image", (1, 8, 8), ("a", "b", "c"), (Feature("ink"),))
SERIES = Schema("series", (12, 2), ("a", "b", "c"), (Feature("x"), Feature("y")))
LR = (0.001, 0.003, 0.01)


def shaped(schema: Schema) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(50) % 3
    centres = torch.randn(3, *schema.shape, generator=generator)
    rows = centres[targets] + torch.randn(50, *schema.shape, generator=generator)
    return Dataset(rows, targets, schema, torch.arange(50))


def rows_of(spec: dict[str, Any]) -> Dataset:
    if spec["name"] in ("mlp", "table_mlp"):
        return TABLE
    return shaped(SERIES if spec.get("flat") else IMAGES)


def spec_of(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "flat"}


def members(spec: dict[str, Any], data: Dataset, dtype: torch.dtype, **more: Any) -> list[Member]:
    found = []
    for at, lr in enumerate(LR):
        normalize = Normalize.fit(data.inputs, data.schema)
        model = build_classifier(spec_of(spec), data.schema, normalize, at, "student").to(dtype)
        optimizer = {"name": more.get("optimizer", "adamw"), "lr": lr, "weight_decay": 0.01 * at}
        optimizer |= {"nesterov": True} if optimizer["name"] == "sgd" else {}
        settings = FitSettings(
            epochs=13,
            batch=16,
            optimizer=optimizer,
            seed=at % 2,
            clip=0.1 + at,
            warmup=0.1 * at,
            ema=more.get("ema", 0.0) * at / 2,
            steps=more.get("steps", 50),
        )
        found.append(Member(model, more.get("objective", Labels()), settings))
    return found


NETS = [
    {"name": "mlp", "width": 16, "depth": 2},
    {"name": "mlp", "width": 16, "depth": 1, "dropout": 0.3},
    {"name": "table_mlp", "width": 8, "depth": 2},
    {"name": "convnet", "width": 4, "depth": 3},
    {"name": "convnet", "width": 4, "depth": 2, "flat": True},
    {"name": "dscnn", "width": 4, "depth": 2},
]


class Poisoned(Labels):
    """Labels, until a row comes whose loss is no number."""

    def __init__(self, at: int = 6) -> None:
        super().__init__()
        self.at = at

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        loss = super().forward(model, batch)
        return loss + torch.where((batch.rows == 7).any() & (batch.step >= self.at), torch.nan, 0.0)


def learned(checkpoint: Path | None) -> str:
    """Train a small fleet, one of which fails on the way; return a digest of what came out."""
    own = members(NETS[1], TABLE, torch.float32, ema=0.9, steps=25)
    own[0] = dataclasses.replace(own[0], objective=Poisoned())
    own = [dataclasses.replace(each, objective=Poisoned(at=99)) for each in own[1:]] + own[:1]
    found = fit_together(own, TABLE, TABLE, checkpoint=checkpoint, every=10)
    told = [str(each) if isinstance(each, TrainingFailed) else repr(each.history) for each in found]
    weights = {
        f"{at}/{name}": held
        for at, each in enumerate(found)
        if isinstance(each, Fitted)
        for name, held in each.model.state_dict().items()
    }
    return workspace.sha256_bytes(workspace.dump_tensors(weights, note=repr(told)))


if __name__ == "__main__":
    failpoints.arm(os.environ.get("STILLHOUSE_FAILPOINTS", ""))
    torch.set_num_threads(1)
    learned(Path(sys.argv[1]))
