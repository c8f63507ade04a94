import torch

from stillhouse.architectures.build import build_classifier
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings
from stillhouse.training.fleet import Member, fit_together
from stillhouse.training.objective import Labels

schema = Schema("table", (2,), ("no", "yes"), (Feature("x"), Feature("y")))
inputs = torch.randn(200, 2)
rows = Dataset(inputs, (inputs.sum(dim=1) > 0).long(), schema, torch.arange(200))
students = []
for rate in (0.001, 0.01, 0.1):
    spec, scale = {"name": "mlp", "width": 8, "depth": 1}, Normalize.fit(inputs, schema)
    model = build_classifier(spec, schema, scale, seed=0, where="student")
    settings = FitSettings(epochs=20, batch=50, optimizer={"name": "adamw", "lr": rate})
    students.append(Member(model, Labels(), settings))
for fitted in fit_together(students, rows, rows):
    print(fitted.history[-1])
