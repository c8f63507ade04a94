import pytest
import torch
from torch import nn

from stillhouse.errors import SettingsError
from stillhouse.training.optimizers import (
    KNOWN,
    AdamWSettings,
    check_optimizer,
    optimizer,
    optimizer_settings,
)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_an_optimiser_is_made_from_its_name_and_moves_weights(name: str):
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    made = optimizer(optimizer_settings({"name": name, "lr": 0.1}, "distill.optimizer"), [layer])
    layer(torch.ones(1, 2)).sum().backward()
    made.step()
    assert not torch.equal(before, layer.weight)


def test_only_matrices_decay():
    made = optimizer(AdamWSettings(weight_decay=0.5), [nn.Linear(2, 2)])
    assert [
        (len(g["params"]), g["params"][0].ndim, g["weight_decay"]) for g in made.param_groups
    ] == [(1, 2, 0.5), (1, 1, 0.0)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"name": "adamx"}, "Did you mean 'adam"),
        ({"lr": 0.1}, "needs a mapping with a name"),
        ("adamw", "needs a mapping with a name"),
        ({"name": "adamw", "lr": -1}, r"optimizer\.lr: must be greater than 0"),
        ({"name": "adamw", "lr": "fast"}, "valid number"),
        ({"name": "adamw", "momentum": 0.9}, "unknown setting 'momentum'"),
        ({"name": "adamw", "beta1": 1.0}, "less than 1"),
        ({"name": "sgd", "nesterov": True, "momentum": 0.0}, "nesterov needs momentum"),
        ({"name": "adamw", "lr": {"float": [-1, 1]}}, "must be greater than 0"),
        ({"name": "adamw", "weight_decay": {"float": [0, 1], "log": True}}, "log space"),
        ({"name": "adamw", "beta2": {"float": [0.9, 1.0]}}, "less than 1"),
        ({"name": {"choice": ["adamw", "adamx"]}}, "there is no optimiser 'adamx'"),
    ],
)
def test_a_wrong_optimiser_is_refused(spec: object, said: str):
    with pytest.raises(SettingsError, match=said):
        check_optimizer(spec, "distill.optimizer")


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "adamw"},
        {"name": "sgd", "nesterov": True},
        {"name": "adamw", "lr": {"float": [0.001, 0.03], "log": True}},
        {"name": {"choice": ["adamw", "sgd"]}},
    ],
)
def test_a_right_optimiser_is_accepted(spec: dict[str, object]):
    check_optimizer(spec, "distill.optimizer")
