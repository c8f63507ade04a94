"""Start it as `torchrun --nproc-per-node 2 ranks.py`; alone it trains in one process."""

import os

import torch

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.objective import Labels
from stillhouse.training.ranks import Ranks

if "RANK" in os.environ:
    torch.distributed.init_process_group("gloo")  # nccl on GPUs, each model on its own

torch.manual_seed(0)  # the same rows and weights in all of them
schema = Schema("table", (2,), ("no", "yes"), (Feature("x"), Feature("y")))
inputs = torch.randn(200, 2)
rows = Dataset(inputs, (inputs.sum(dim=1) > 0).long(), schema, torch.arange(200))
spec, scale = {"name": "mlp", "width": 8, "depth": 1}, Normalize.fit(inputs, schema)
model = build_classifier(spec, schema, scale, seed=0, where="student")
ranks = Ranks.joined()  # or Ranks.of(fabric), after fabric.launch()
fitted = fit(model, Labels(), rows, rows, FitSettings(epochs=20, batch=50), ranks=ranks)
if ranks.leads:
    print(fitted.history[-1])
