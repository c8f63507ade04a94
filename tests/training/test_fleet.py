"""Models that are trained together against the same models trained one after the other."""

import copy
import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training.killed_fleet import IMAGES, NETS, TABLE, Poisoned, learned, members, rows_of, shaped

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.arms import objective
from stillhouse.distillation.objective import Distillation
from stillhouse.errors import TrainingFailed
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.models.outputs import Batch
from stillhouse.training import fleet_state
from stillhouse.training.fit import FitSettings, Fitted, fit
from stillhouse.training.fleet import Member, fit_together, why_apart
from stillhouse.training.fleet_state import Fleet
from stillhouse.training.objective import Labels, Objective
from stillhouse.workspace import load_tensors

HERE = Path(__file__).parent


def apart(own: Sequence[Member], data: Dataset) -> list[Classifier]:
    return [fit(m.model, m.objective, data, data, m.settings).model for m in copy.deepcopy(own)]


def distance(first: torch.nn.Module, second: torch.nn.Module) -> float:
    its = second.state_dict()
    return max(float((held - its[name]).abs().max()) for name, held in first.state_dict().items())


CASES = [(spec, torch.float64) for spec in NETS] + [
    # depthwise filters of 9 weights double a rounding error every few steps
    (spec, torch.float32)
    for spec in NETS
    if spec["name"] != "dscnn"
]
LIMIT = {torch.float32: 1e-5, torch.float64: 1e-12}


def fitted_of(results: Sequence[Fitted | TrainingFailed]) -> list[Classifier]:
    assert not [each for each in results if isinstance(each, TrainingFailed)]
    return [each.model for each in results if isinstance(each, Fitted)]


@pytest.mark.parametrize(("spec", "dtype"), CASES, ids=str)
def test_a_fleet_learns_what_its_members_learn_apart(
    spec: dict[str, Any], dtype: torch.dtype
) -> None:
    data = dataclasses.replace(rows_of(spec), inputs=rows_of(spec).inputs.to(dtype))
    own = members(spec, data, dtype)
    assert why_apart(own) == ""
    before = [copy.deepcopy(member.model) for member in own]
    alone = apart(own, data)
    for old, one, other in zip(
        before, alone, fitted_of(fit_together(own, data, data)), strict=True
    ):
        assert distance(one, other) <= LIMIT[dtype]
        assert distance(old, other) > 1e-2, "it has learned something"


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_each_optimiser_takes_torchs_own_steps_and_averages_follow(optimizer: str) -> None:
    data = dataclasses.replace(TABLE, inputs=TABLE.inputs.double())
    own = members(NETS[0], data, torch.float64, optimizer=optimizer, ema=0.9, steps=20)
    alone = apart(own, data)
    for one, other in zip(alone, fitted_of(fit_together(own, data, data)), strict=True):
        assert distance(one, other) <= 1e-12


def test_a_loss_that_is_no_number_ends_its_member_alone_and_names_the_row() -> None:
    own = members(NETS[3], shaped(IMAGES), torch.float32, steps=20)
    own = [
        dataclasses.replace(each, objective=Poisoned(at))
        for each, at in zip(own, (99, 6, 99), strict=True)
    ]
    twin = copy.deepcopy([own[0], own[2]])
    first, failed, last = fit_together(own, shaped(IMAGES), shaped(IMAGES))
    assert isinstance(failed, TrainingFailed)
    assert "row 7" in failed.what
    alone = apart(twin, shaped(IMAGES))
    for one, other in zip(alone, fitted_of([first, last]), strict=True):
        assert distance(one, other) <= 1e-5


@pytest.mark.parametrize("spec", [NETS[0], NETS[3], NETS[-1]], ids=str)
def test_a_fleet_without_room_goes_through_each_step_in_parts(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = dataclasses.replace(rows_of(spec), inputs=rows_of(spec).inputs.double())
    own = members(spec, data, torch.float64, ema=0.9)
    alone = apart(own, data)
    assert len(Fleet.start(copy.deepcopy(own), data).parts) == 1
    batch = own[0].settings.batch
    cells = Fleet.start(copy.deepcopy(own), data).stack.cells(
        own[0].model.normalize(data.inputs)[0]
    )
    monkeypatch.setattr(fleet_state, "ROOM", 2 * 8 * cells * batch)  # for two of the three
    sizes = [rows.stop - rows.start for rows, _, _ in Fleet.start(copy.deepcopy(own), data).parts]
    assert sizes == [2, 2], "the last part ends where the members do"
    place = tmp_path / "fleet.safetensors"
    again = copy.deepcopy(own)
    fit_together(own, data, data, until=0.5, checkpoint=place)
    for one, other in zip(
        alone, fitted_of(fit_together(again, data, data, checkpoint=place)), strict=True
    ):
        assert distance(one, other) <= 1e-12


def test_what_a_step_holds_is_counted_by_what_layers_give() -> None:
    own = members({"name": "mlp", "width": 6, "depth": 1}, TABLE, torch.float32)
    columns = own[0].model.normalize(TABLE.inputs)[0].numel()
    classes = len(TABLE.classes)
    stack = Fleet.start(own, TABLE).stack
    assert (
        stack.cells(torch.zeros(columns)) == columns + 6 + 6 + classes
    )  # flatten, linear, relu, logits


def test_members_that_are_left_out_later_change_nothing_for_the_others(tmp_path: Path) -> None:
    data = dataclasses.replace(TABLE, inputs=TABLE.inputs.double())
    own = members(NETS[1], data, torch.float64, ema=0.9)
    alone = apart(own, data)
    place, again = tmp_path / "fleet.safetensors", copy.deepcopy(own)
    half = fit_together(own, data, data, until=0.5, checkpoint=place)
    assert [each.steps for each in half if isinstance(each, Fitted)] == [25, 25, 25]
    said: list[str] = []
    (last,) = fitted_of(
        fit_together(
            again[2:], data, data, checkpoint=place, progress=lambda at, of, note: said.append(note)
        )
    )
    assert said[0] == "going on after step 25"
    assert distance(alone[2], last) <= 1e-12


def test_another_training_never_takes_a_checkpoint_for_its_own(tmp_path: Path) -> None:
    place = tmp_path / "fleet.safetensors"
    fit_together(members(NETS[0], TABLE, torch.float32), TABLE, TABLE, checkpoint=place)
    other = members(NETS[0], TABLE, torch.float32, ema=0.5)
    fresh = copy.deepcopy(other)
    found = fitted_of(fit_together(other, TABLE, TABLE, checkpoint=place))
    for one, two in zip(found, fitted_of(fit_together(fresh, TABLE, TABLE)), strict=True):
        assert distance(one, two) == 0


def test_a_fleet_that_is_killed_within_a_batch_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    place = tmp_path / "fleet.safetensors"
    env = {
        **os.environ,
        "STILLHOUSE_FAILPOINTS": "training.batch=kill@17",
        "PYTHONPATH": str(HERE.parent),
    }
    command = [sys.executable, HERE / "killed_fleet.py", place]
    assert subprocess.run(command, env=env, check=False).returncode == -9
    assert int(load_tensors(place)["step"]) == 10
    assert learned(place) == learned(None)
    assert learned(place) == learned(None)  # killed after its end: nothing is left to do


def test_what_selectors_gave_is_counted_over_a_stop(tmp_path: Path) -> None:
    answers = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    section = {"selector": {"name": "uncertain"}, "method": {"name": "kd"}}

    def counted(until: float, checkpoint: Path | None) -> list[Tensor]:
        own = members(NETS[0], TABLE, torch.float32)
        own = [
            dataclasses.replace(m, objective=objective("student", section, answers)) for m in own
        ]
        fit_together(own, TABLE, TABLE, until=until, checkpoint=checkpoint)
        told = [m.objective.transfer() for m in own if isinstance(m.objective, Distillation)]
        return [part for each in told if each is not None for part in each]

    place = tmp_path / "fleet.safetensors"
    counted(0.5, place)
    for whole, stopped in zip(counted(1.0, None), counted(1.0, place), strict=True):
        assert torch.equal(whole, stopped)


class Nosy(Objective):
    """Looks inside the model."""

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        return model(batch.inputs).sum() + sum(weight.sum() for weight in model.parameters())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"settings": FitSettings(epochs=2, patience=1)}, "patience"),
        ({"settings": FitSettings(epochs=3)}, "the same steps"),
        (
            {"settings": FitSettings(epochs=13, batch=16, steps=50, optimizer={"name": "sgd"})},
            "optimisers",
        ),
        ({"objective": Nosy()}, "more than the model's answers"),
        ({"objective": Poisoned()}, "different losses"),
        ({"spec": {"name": "mlp", "width": 12, "depth": 2}}, "their nets differ"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_trained_together_is_told(change: dict[str, Any], why: str) -> None:
    own = members(NETS[0], TABLE, torch.float32)
    assert why_apart(own) == ""
    spec = change.pop("spec", None)
    if spec is not None:
        change = {"model": members(spec, TABLE, torch.float32)[0].model}
    own[1] = dataclasses.replace(own[1], **change)
    assert why in why_apart(own)


def sharing(part: torch.nn.Module, seed: int) -> Classifier:
    """A net in which one module stands in two places."""
    torch.manual_seed(seed)
    ends = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)
    layers = ends[0], torch.nn.Tanh(), part, torch.nn.Linear(8, 8), part, ends[1]
    return Classifier(Normalize.fit(TABLE.inputs, TABLE.schema), torch.nn.Sequential(*layers))


def test_a_layer_without_weights_may_stand_in_two_places() -> None:
    settings = [FitSettings(epochs=5, batch=16, seed=seed) for seed in (0, 1)]
    own = [Member(sharing(torch.nn.Tanh(), each.seed), Labels(), each) for each in settings]
    assert why_apart(own) == ""
    alone = apart(own, TABLE)
    for mine, its in zip(fitted_of(fit_together(own, TABLE, TABLE)), alone, strict=True):
        assert distance(mine, its) < LIMIT[torch.float32]


def test_layers_that_share_their_weights_are_not_stacked() -> None:
    shared = torch.nn.Linear(8, 8)
    member = Member(sharing(shared, 0), Labels(), FitSettings(epochs=1))
    assert why_apart([member]) == "no way is known to stack '4.weight', which another layer shares"


def test_a_net_with_a_layer_of_its_own_is_not_stacked() -> None:
    data = shaped(IMAGES)
    own = members({"name": "resnet", "depth": 8, "width": 4}, data, torch.float32)
    assert "'layer1.0' (_Block)" in why_apart(own)


class Standardised(torch.nn.Conv2d):
    """A convolution that is not its parent's."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight - self.weight.mean(), self.bias)


def ends_with(layer: torch.nn.Module) -> Member:
    layers = layer, torch.nn.Flatten(), torch.nn.Linear(2 * 6 * 6, 3)
    data = shaped(IMAGES)
    net = torch.nn.Sequential(*layers)
    return Member(
        Classifier(Normalize.fit(data.inputs, data.schema), net), Labels(), FitSettings(epochs=1)
    )


def test_a_net_with_a_frozen_layer_is_not_stacked() -> None:
    member = ends_with(torch.nn.Conv2d(1, 2, 3))
    assert why_apart([member]) == ""
    member.model.net[0].bias.requires_grad_(False)  # type: ignore[index,union-attr,operator]
    assert why_apart([member]) == "no way is known to stack '0.bias', which is frozen"


def test_what_does_more_than_its_kind_is_not_stacked() -> None:
    plain = torch.nn.Conv2d(1, 2, 3)
    assert why_apart([ends_with(plain)]) == ""
    assert "'0' (Standardised)" in why_apart([ends_with(Standardised(1, 2, 3))])
    plain.register_forward_hook(lambda module, given, told: told * 2)
    assert "'0', which has a hook" in why_apart([ends_with(plain)])
