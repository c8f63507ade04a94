import pytest
import torch
from torch import Tensor, nn
from training.blobs import blobs, net

from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.dist import DIST
from stillhouse.distillation.methods.kd import KD, kd_loss
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selectors.all import All
from stillhouse.distillation.selectors.teacher_correct import TeacherCorrect
from stillhouse.errors import DataError, UsageError
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.training.fit import FitSettings, fit

DATA = blobs(12)
ANSWERS = 3 * torch.nn.functional.one_hot(DATA.targets, 3).float() + torch.linspace(
    0, 1, 36
).reshape(12, 3)


def batch(at: list[int], labelled: int) -> Batch:
    rows = torch.tensor(at)
    targets = DATA.targets[rows].clone()
    targets[labelled:] = -1
    return Batch(DATA.inputs[rows], targets, targets >= 0, rows)


def test_the_loss_is_labels_and_method_by_their_shares_over_the_right_rows():
    model, rows = net(DATA), batch([5, 2, 9, 0], labelled=2)
    loss = Distillation(
        method=KD(temperature=2.0), selector=All(), supervised=0.3, answers=ANSWERS
    )(model, rows)
    logits = model(rows.inputs)
    labels = nn.functional.cross_entropy(logits[:2], DATA.targets[[5, 2]])
    taught = kd_loss(logits, ANSWERS[[5, 2, 9, 0]], 2.0).mean()
    torch.testing.assert_close(loss, 0.3 * labels + 0.7 * taught)


def test_answers_that_are_stored_as_halves_are_the_same_loss_as_those_widened_before():
    model, rows = net(DATA), batch([5, 2, 9, 0], labelled=2)
    found = [
        Distillation(method=KD(), selector=All(), supervised=0.3, answers=answers)(model, rows)
        for answers in (ANSWERS.half(), ANSWERS.half().float())
    ]
    assert torch.equal(found[0], found[1])


def test_a_batch_without_labels_learns_from_the_teacher_alone():
    model, rows = net(DATA), batch([1, 2], labelled=0)
    loss = Distillation(method=KD(), selector=All(), supervised=0.5, answers=ANSWERS)(model, rows)
    torch.testing.assert_close(loss, 0.5 * kd_loss(model(rows.inputs), ANSWERS[[1, 2]]).mean())


def test_rows_that_are_not_selected_learn_nothing_from_the_teacher():
    wrong = ANSWERS.clone()
    wrong[5] = ANSWERS[5].flip(0) if DATA.targets[5] != 1 else torch.tensor([9.0, 0, 0])
    model, rows = net(DATA), batch([5, 2], labelled=2)
    loss = Distillation(method=KD(), selector=TeacherCorrect(), supervised=0.0, answers=wrong)(
        model, rows
    )
    torch.testing.assert_close(loss, kd_loss(model(rows.inputs), wrong[[5, 2]])[1] / 2)


def test_a_selector_is_refused_beside_a_batch_level_method_by_name():
    Distillation(method=DIST(), selector=All(), supervised=0.1, answers=ANSWERS)
    with pytest.raises(
        UsageError,
        match="the selector 'teacher_correct' weighs rows, but 'dist' has one loss for the whole "
        "batch",
    ):
        Distillation(method=DIST(), selector=TeacherCorrect(), supervised=0.1, answers=ANSWERS)


class Hungry(Method):
    needs = frozenset({"logits", "features"})


class Own(Method):
    """Needs no teacher, and has a parameter."""

    needs: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.told = 0

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        assert teacher is None
        return (self.scale * student.logits).square().sum(dim=-1)

    def after_step(self, model: nn.Module) -> None:
        self.told += 1


class Noise(Own):
    def inputs(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return batch.inputs + torch.randn(batch.inputs.shape, generator=generator)


class Scalar(Own):
    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        return student.logits.square().mean()


def test_a_method_that_needs_more_than_answers_is_refused():
    with pytest.raises(
        UsageError, match="'hungry' needs features, which 'stored answers' does not give"
    ):
        Distillation(method=Hungry(), selector=All(), supervised=0.1, answers=ANSWERS)
    with pytest.raises(UsageError, match="'kd' needs logits, which 'no teacher' does not give"):
        Distillation(method=KD(), selector=All(), supervised=0.1, answers=None)


def test_a_method_may_need_no_teacher_and_own_parameters():
    method = Own()
    objective = Distillation(method=method, selector=All(), supervised=0.5, answers=None)
    fit(net(DATA), objective, DATA, DATA, FitSettings(epochs=3))
    assert method.scale.item() != 1
    assert method.told == 3
    with pytest.raises(UsageError, match="'teacher_correct' needs logits"):
        Distillation(method=method, selector=TeacherCorrect(), supervised=0.5, answers=None)


def test_what_the_student_sees_may_be_random_and_follows_the_seed():
    made = [
        fit(
            net(DATA),
            Distillation(method=Noise(), selector=All(), supervised=0.5, answers=None),
            DATA,
            DATA,
            FitSettings(epochs=3, seed=s),
        )
        for s in (0, 0, 1)
    ]
    losses = [fitted.history[0].loss for fitted in made]
    assert losses[0] == losses[1] != losses[2]


def test_a_method_that_breaks_its_promise_of_a_loss_per_row_is_named():
    with pytest.raises(
        UsageError, match=r"the method 'scalar' returns the shape \[\], but its per_sample is True"
    ):
        Distillation(method=Scalar(), selector=All(), supervised=0.5, answers=None)(
            net(DATA), batch([0, 1], 2)
        )


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(DataError, match="the teacher answers 5 classes, the student 3"):
        Distillation(method=KD(), selector=All(), supervised=0.5, answers=torch.zeros(12, 5))(
            net(DATA), batch([0, 1], 2)
        )
