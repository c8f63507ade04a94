from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from training.blobs import blobs, net

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.live import Pair
from stillhouse.distillation.methods.combine import Combine
from stillhouse.distillation.methods.fitnet import Fitnet
from stillhouse.distillation.methods.srd import SRD
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.errors import UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.training.fit import FitSettings, Fitted, fit
from stillhouse.training.state import Training

DATA = blobs(24)
TEACHER = net(DATA, seed=9).eval()
with torch.no_grad():
    ANSWERS = TEACHER(DATA.inputs)
ROWS = Batch(DATA.inputs[:6], DATA.targets[:6], torch.ones(6, dtype=torch.bool), torch.arange(6))
SETTINGS = FitSettings(epochs=6, batch=8)


def made(
    model: Classifier, method: Fitnet | SRD | Combine | None = None, order: Tensor | None = None
) -> Distillation:
    torch.manual_seed(0)
    pair = Pair(model, TEACHER, DATA)
    return Distillation(
        method=method or Fitnet(layer="penultimate"),
        selector=All(),
        supervised=0.5,
        answers=ANSWERS,
        pair=pair,
        order=order,
    )


def test_projectors_are_in_the_optimiser_and_move_with_the_student():
    model = net(DATA)
    objective = made(model, Combine(parts=[{"name": "kd"}, {"name": "fitnet"}, {"name": "srd"}]))
    projectors = {name: weight.detach().clone() for name, weight in objective.named_parameters()}
    assert len(projectors) == 4
    trained = Training.start(model, objective, DATA, DATA, SETTINGS).weights
    assert all(any(weight is held for held in trained) for weight in objective.parameters())
    fit(model, objective, DATA, DATA, SETTINGS)
    assert all(
        not torch.equal(before, dict(objective.named_parameters())[name])
        for name, before in projectors.items()
    )


def test_the_teacher_is_neither_trained_nor_stored_nor_put_into_training_mode():
    before = {name: value.clone() for name, value in TEACHER.state_dict().items()}
    objective = made(model := net(DATA))
    fit(model, objective, DATA, DATA, SETTINGS)
    assert not TEACHER.training
    assert all(torch.equal(before[name], value) for name, value in TEACHER.state_dict().items())
    assert set(objective.state_dict()) == {
        "method.projector.matrix.weight",
        "method.projector.matrix.bias",
    }
    assert all(weight.grad is None for weight in TEACHER.parameters())


def test_the_student_learns_the_teachers_features():
    method = Fitnet(layer="penultimate")
    model = net(DATA)
    objective = made(model, method)
    first = objective(model.eval(), ROWS).item()
    fit(model, objective, DATA, DATA, FitSettings(epochs=60, batch=8))
    assert objective(model.eval(), ROWS).item() < first / 2


class Looker(Fitnet):
    """Notes what it is shown."""

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        self.seen = (student, teacher)
        return super().forward(student, teacher, batch)


def test_logits_are_the_stored_ones_and_features_those_of_the_rows():
    method, model = Looker(layer="hidden1", teacher_layer="penultimate"), net(DATA)
    made(model, method)(model, ROWS)
    student, teacher = method.seen
    assert teacher is not None
    torch.testing.assert_close(
        student.features["hidden1"], model.net.hidden1(model.normalize(ROWS.inputs).flatten(1))
    )
    torch.testing.assert_close(
        teacher.features["penultimate"], TEACHER.net.hidden1(TEACHER.normalize(ROWS.inputs)).relu()
    )
    assert torch.equal(teacher.logits, ANSWERS[:6])
    assert student.features["hidden1"].requires_grad
    assert not teacher.features["penultimate"].requires_grad


def test_with_another_order_the_teacher_is_asked_about_other_rows():
    method, model, order = Looker(layer="penultimate"), net(DATA), torch.arange(24).roll(5)
    made(model, method, order)(model, ROWS)
    teacher = method.seen[1]
    assert teacher is not None
    assert torch.equal(teacher.logits, ANSWERS[order[:6]])
    torch.testing.assert_close(
        teacher.features["penultimate"],
        TEACHER.net.hidden1(TEACHER.normalize(DATA.inputs[order[:6]])).relu(),
    )


def test_a_tap_that_does_not_exist_is_refused_with_the_taps_of_both():
    made(net(DATA), Fitnet(layer="net.relu1"))
    with pytest.raises(
        UsageError,
        match=r"the student has no tap 'net\.relu9'\. The student's taps: normalize, net, .*The "
        r"teacher's: normalize, net",
    ):
        made(net(DATA), Fitnet(layer="net.relu9"))
    with pytest.raises(UsageError, match="the teacher has no tap 'lat'"):
        made(net(DATA), Fitnet(layer="late", teacher_layer="lat"))


def test_a_black_box_is_refused_by_name():
    model = net(DATA)
    for pair in (None, Pair(model, None, DATA)):
        with pytest.raises(
            UsageError, match="'fitnet' needs features, which 'stored answers' does not give"
        ):
            Distillation(
                method=Fitnet(), selector=All(), supervised=0.5, answers=ANSWERS, pair=pair
            )


class Vague(Fitnet):
    def __init__(self) -> None:
        super().__init__()
        self.taps = ()


def test_a_method_that_needs_features_must_say_which():
    with pytest.raises(UsageError, match="'vague' needs features, but says of no tap which"):
        made(net(DATA), Vague())


def trained(path: Path | None, data: Dataset = DATA) -> Fitted:
    model = net(data)
    return fit(model, made(model), data, data, SETTINGS, checkpoint=path, every=2)


def test_it_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path: Path):
    whole = trained(None).model.state_dict()
    kept = tmp_path / "half.safetensors"
    model = net(DATA)
    objective = made(model)
    run = Training.start(model, objective, DATA, DATA, SETTINGS)
    run.resume(kept, lambda done, total, note: None)
    torch.manual_seed(SETTINGS.seed)
    for _ in range(4):
        run.set_learning_rate()
        run.optimizer.zero_grad()
        loss = objective(model, run.batch())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.weights, SETTINGS.clip)
        run.optimizer.step()
        run.count(loss.item())
    run.save(kept)
    resumed = trained(kept).model.state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_another_teacher_is_not_taken_up():
    model = net(DATA)
    one = made(model).teacher
    assert one == made(model).teacher
    other = net(DATA, seed=4).eval()
    pair = replace(Pair(model, TEACHER, DATA), teacher=other)
    assert (
        Distillation(
            method=Fitnet(), selector=All(), supervised=0.5, answers=ANSWERS, pair=pair
        ).teacher
        != one
    )
