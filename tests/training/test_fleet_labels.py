"""Several labels a row, trained side by side: each member as if it were alone."""

import torch
from torch import nn

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.evaluation.tasks import MULTI_LABEL
from stillhouse.models.classifier import model_of
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.fleet import Member, fit_together, why_apart
from stillhouse.training.objective import Labels

SCHEMA = Schema("table", (3,), (), tuple(map(Feature, "xyz")), "multi_label", labels=("a", "b"))


def rows() -> Dataset:
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    targets = (inputs[:, :2] > 0).float()
    targets[::3, 1] = torch.nan
    targets[::5] = torch.nan
    return Dataset(inputs, targets, SCHEMA, torch.arange(50))


def members() -> list[Member]:
    made = []
    for seed, rate in ((0, 0.01), (1, 0.03)):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        model = model_of(SCHEMA, Normalize.fit(rows().inputs, SCHEMA), net)
        optimizer = {"name": "adamw", "lr": rate}
        settings = FitSettings(epochs=4, batch=16, optimizer=optimizer, seed=seed)
        made.append(Member(model, Labels(MULTI_LABEL), settings))
    return made


def test_members_are_trained_as_each_would_be_alone():
    assert why_apart(members()) == ""
    together = fit_together(members(), rows(), rows())
    for one, found in zip(members(), together, strict=True):
        alone = fit(one.model, one.objective, rows(), rows(), one.settings)
        for name, weight in alone.model.state_dict().items():
            torch.testing.assert_close(found.model.state_dict()[name], weight)
        assert alone.history[-1].val_score == found.history[-1].val_score
        assert alone.history[-1].loss < alone.history[0].loss
