import math
from pathlib import Path

import pytest
import torch
from distillation.classrooms import DATA, lone, rows, taught, unlabelled
from distillation.rows import STUDENT, TEACHER
from training.blobs import net

from stillhouse.distillation.live import Pair
from stillhouse.distillation.methods.ema_teacher import EmaTeacher, ema_teacher_loss
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs
from stillhouse.training.fit import FitSettings, fit


def test_golden_value_by_hand():
    """(1/2, 1/2) against (3/4, 1/4): the mean of two squares of 1/4."""
    found = ema_teacher_loss(torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log())
    torch.testing.assert_close(found, torch.tensor([1 / 16]))


def test_it_is_the_mean_square_of_probabilities_and_blind_to_a_shift():
    wanted = (STUDENT.softmax(1) - TEACHER.softmax(1)).square().mean(dim=1)
    torch.testing.assert_close(ema_teacher_loss(STUDENT + 5, TEACHER - 3), wanted)


def made(model, **settings: float) -> tuple[EmaTeacher, Distillation]:
    method = EmaTeacher(**settings)
    objective = Distillation(
        method=method,
        selector=All(),
        supervised=0.5,
        answers=None,
        pair=Pair(model, None, DATA, 10),
    )
    return method, objective


def test_the_average_follows_the_student_and_is_not_trained():
    model = net(DATA)
    method, objective = made(model, decay=0.5)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    assert not [weight for weight in objective.parameters() if weight.requires_grad]
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    for share in (0.5, 0.75, 0.875):  # the second and third step at decay 1/2, the first at 1 − 1/2
        method.after_step(model)
        weights = dict(method.average.named_parameters())
        for name, value in weights.items():
            torch.testing.assert_close(value, first[name] + share)


def test_the_weight_rises_as_in_the_paper():
    method, _ = made(net(DATA), rise=0.5)
    model = net(DATA, seed=3)
    for step, left in ((0, 0.8), (4, 0.0), (9, 0.0)):
        batch = rows(step=step)
        method.inputs(model, batch, torch.Generator())
        found = method(Outputs(model(batch.inputs)), None, batch)
        plain = ema_teacher_loss(model(batch.inputs), method.average(batch.inputs))
        torch.testing.assert_close(found, math.exp(-5 * left**2) * plain)


def test_a_training_goes_on_from_its_average_to_the_same_bits(tmp_path: Path):
    ends = []
    for kept in (None, tmp_path / "half.safetensors"):
        model = net(DATA)
        _, objective = made(model)
        if kept is not None:
            cut_short(kept)
        fitted = fit(
            model, objective, DATA, DATA, FitSettings(epochs=6, batch=8), checkpoint=kept, every=5
        )
        ends.append(fitted.model.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


class Cut(Exception):
    """Stands for a killed process."""


def cut_short(kept: Path) -> None:
    model = net(DATA)
    method, objective = made(model)
    counted = method.after_step

    def once_too_often(of) -> None:
        counted(of)
        if int(method.steps) == 7:
            raise Cut

    method.after_step = once_too_often
    with pytest.raises(Cut):
        fit(model, objective, DATA, DATA, FitSettings(epochs=6, batch=8), checkpoint=kept, every=5)
    assert kept.is_file()


def test_it_needs_no_teacher_but_a_label():
    assert lone(EmaTeacher()).item() >= 0
    with pytest.raises(UsageError, match="no row has a label"):
        taught(EmaTeacher(), data=unlabelled())
