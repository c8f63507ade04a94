import copy
import math
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from training.blobs import blobs

from stillhouse.distillation import distill
from stillhouse.errors import DataError, PluginNotFound, SettingsError, UsageError

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "five_lines.py"
DATA = blobs(120)


def model(width: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


def taught() -> nn.Module:
    """A teacher that knows the blobs: the class is the largest of the first three numbers."""
    teacher = model(6, 0)
    with torch.no_grad():
        teacher[0].weight.copy_(torch.cat([torch.eye(3, 4), -torch.eye(3, 4)]))
        teacher[0].bias.zero_()
        teacher[2].weight.copy_(3 * torch.cat([torch.eye(3), -torch.eye(3)], dim=1))
        teacher[2].bias.zero_()
    return teacher


def agreement(student: nn.Module, teacher: nn.Module, rows: Tensor) -> float:
    return (student(rows).argmax(1) == teacher(rows).argmax(1)).double().mean().item()


def test_the_guides_five_lines_run(capsys: pytest.CaptureFixture[str]):
    found = runpy.run_path(str(GUIDE))
    assert found["agreement"] > 0.5
    assert not found["student"].training
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "method",
    [
        "kd",
        "dkd",
        "dist",
        "wttm",
        "focal",
        "fitnet",
        {"name": "combine", "parts": [{"name": "kd"}, {"name": "srd", "weight": 0.1}]},
        "rkd",
    ],
)
def test_a_student_learns_from_rows_alone(method: str | dict[str, object]):
    teacher, student = taught(), model(8, 1)
    found = distill(
        teacher,
        student,
        DATA.inputs,
        method=method,
        epochs=25,
        batch=32,
        optimizer={"name": "adamw", "lr": 0.03},
    )
    assert found is student
    if method not in ("fitnet", "rkd"):  # those say nothing of the classes
        assert agreement(student, teacher, DATA.inputs) > 0.9


def test_the_same_seed_gives_the_same_bits_and_the_callers_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    weights = [
        distill(
            taught(), model(8, 1), DATA.inputs, method="fitnet", epochs=3, batch=32, seed=seed
        ).state_dict()
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_teacher_that_draws_says_the_same_by_the_same_seed():
    def student_of(seed: int) -> Tensor:
        teacher = Told(lambda z: F.dropout(z, 0.5, training=True))
        return distill(teacher, model(8, 1), DATA.inputs, epochs=1, seed=seed)[0].weight

    before = torch.random.get_rng_state()
    assert torch.equal(student_of(3), student_of(3))
    assert not torch.equal(student_of(3), student_of(4))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_teacher_is_left_as_it_was():
    teacher = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).train()
    before = copy.deepcopy(teacher.state_dict())
    distill(
        teacher, model(8, 1), DATA.inputs, method={"name": "srd", "layer": "penultimate"}, epochs=2
    )
    assert teacher.training
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in teacher.parameters())


def test_labels_count_by_their_share_and_unlabelled_rows_may_be_among_them():
    targets = torch.where(torch.arange(120) < 60, DATA.targets, -1)
    wrong = (targets + 1) % 3
    wrong[targets < 0] = -1
    student = distill(
        taught(), model(8, 1), DATA.inputs, wrong, supervised=1.0, epochs=60, batch=32
    )
    assert (student(DATA.inputs[:60]).argmax(1) == wrong[:60]).double().mean() > 0.8


@pytest.mark.parametrize("shape", [(6, 2), (1, 6, 2)])
def test_series_and_images_work_too(shape: tuple[int, ...]):
    rows = torch.rand(20, *shape, generator=torch.Generator().manual_seed(0))
    pair = [
        nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2)
    ]
    assert distill(*pair, rows, epochs=2)(rows).shape == (20, 2)


class Half(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return torch.where(rows[:, :1] > 0, torch.nan, 0.0).expand(-1, 3)


class Choosy(nn.Module):
    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        return rows * mask


class Told(nn.Module):
    """A model that returns its logits in a form of its own."""

    def __init__(self, form: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.net, self.form = model(8, 1), form

    def forward(self, rows: Tensor) -> object:
        return self.form(self.net(rows))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"inputs": torch.zeros(0, 4)}, DataError, "are no rows"),
        ({"inputs": torch.zeros(8, 4, dtype=torch.int64)}, DataError, "are no rows"),
        ({"targets": torch.zeros(7, dtype=torch.int64)}, DataError, "do not fit 120 rows"),
        ({"targets": torch.zeros(120)}, DataError, r"do not fit 120 rows.*reshape\(-1\).long"),
        ({"targets": F.one_hot(DATA.targets)}, DataError, r"targets.argmax\(dim=1\)"),
        ({"inputs": DataLoader(TensorDataset(DATA.inputs))}, DataError, "a DataLoader.*torch.cat"),
        ({"inputs": DATA.inputs.half()}, DataError, r"torch.float16.*inputs.float\(\)"),
        ({"targets": torch.full((120,), 3)}, DataError, "between 3 and 3, but there are 3 classes"),
        ({"student": nn.Linear(4, 5)}, DataError, "the teacher answers 3 classes, the student"),
        ({"teacher": Choosy()}, DataError, "the teacher cannot take rows .* argument: 'mask'"),
        ({"teacher": Half()}, DataError, "no finite answer for"),
        ({"teacher": nn.Flatten(0)}, DataError, "not \\[N, C\\]"),
        ({"teacher": Told(lambda z: (z, z))}, DataError, "teacher: a model returns tuple"),
        ({"student": Told(lambda z: z.long())}, DataError, "student: a model returns torch.int64"),
        ({"student": Told(lambda z: {"logits": z})}, DataError, "returns dict, not a tensor"),
        ({"teacher": Told(lambda z: z.softmax(1))}, DataError, "teacher answers probabilities"),
        ({"student": Told(lambda z: z.softmax(1))}, DataError, "student answers probabilities"),
        ({"teacher": nn.Linear(4, 1), "student": nn.Linear(4, 1)}, DataError, "one number a row"),
        ({"teacher": taught}, DataError, "the teacher is a function, not a torch module"),
        ({"inputs": DATA.inputs.numpy()}, DataError, "inputs are a ndarray, not a tensor"),
        (
            {"inputs": DATA.inputs.double()},
            DataError,
            r"cannot take rows \[120, 4\], torch.float64",
        ),
        ({"student": nn.Linear(5, 3)}, DataError, "the student cannot take rows"),
        ({"targets": DATA.targets.numpy()}, DataError, "targets are a ndarray, not a tensor"),
        ({"targets": ["a", "b"] * 60}, DataError, "targets are a list, not a tensor"),
        (
            {"targets": (DATA.targets + 1) % 3},
            DataError,
            r"another order: .* 10 of 120 labelled rows right, .* the targets \[1, 2, 0\]",
        ),
        (
            {"student": nn.Linear(4, 3).requires_grad_(False)},
            UsageError,
            "no weight of it takes a gradient",
        ),
        ({"method": None}, SettingsError, "must be a name, or a mapping"),
        ({"selector": ["all"]}, SettingsError, "must be a name, or a mapping"),
        ({"seed": 2**32}, SettingsError, "distill.seed: must be less than 4294967296"),
        ({"supervised": 1.5}, SettingsError, "less than or equal to 1"),
        ({"method": "kdd"}, PluginNotFound, "Did you mean 'kd'"),
        ({"method": {"name": "kd", "temperature": -1.0}}, SettingsError, "greater than 0"),
        ({"method": {"name": "kd", "temperature": math.inf}}, SettingsError, "equal to 1000, not"),
        ({"method": {"name": "fitnet", "layer": "9"}}, UsageError, "the student has no tap '9'"),
        (
            {"method": "dist", "selector": "uncertain"},
            UsageError,
            "has one loss for the whole batch",
        ),
        ({"epochs": 0}, SettingsError, "greater than or equal to 1"),
        ({"supervised": 1.5, "targets": DATA.targets}, SettingsError, "less than or equal to 1"),
        ({"optimizer": {"name": "adamww"}}, SettingsError, "Did you mean 'adamw'"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], error: type[Exception], said: str):
    good: dict[str, object] = {
        "teacher": taught(),
        "student": model(8, 1),
        "inputs": DATA.inputs,
        "epochs": 1,
    }
    distill(**good)
    with pytest.raises(error, match=said):
        distill(**{**good, **change})


class Aside(nn.Module):
    """A model that answers in a form of its own while it is trained."""

    def __init__(self, form: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.net, self.form = model(8, 1), form

    def forward(self, rows: Tensor) -> object:
        return self.form(self.net(rows)) if self.training else self.net(rows)


@pytest.mark.parametrize("method", ["kd", {"name": "srd", "layer": "net.1", "teacher_layer": "1"}])
def test_a_student_that_answers_otherwise_in_training_is_refused(method: str | dict[str, str]):
    def learn(form: Callable[[Tensor], object]) -> nn.Module:
        return distill(taught(), Aside(form), DATA.inputs, method=method, epochs=1)

    learn(lambda z: z)
    with pytest.raises(DataError, match=r"in training the student answers tuple .*aux_logits"):
        learn(lambda z: (z, z))
    with pytest.raises(DataError, match=r"in training the student answers \[3\] for 120 rows"):
        learn(lambda z: z.mean(0))


def test_a_student_whose_answers_have_no_gradient_is_refused():
    with pytest.raises(UsageError, match="the loss has no gradient"):
        distill(taught(), Aside(Tensor.detach), DATA.inputs, epochs=1)


@pytest.mark.parametrize("method", ["kd", "srd", "crd", "embedding"])
def test_double_precision_is_learned_in_whole(method: str):
    student = distill(
        taught().double(), model(8, 1).double(), DATA.inputs.double(), method=method, epochs=1
    )
    assert student[0].weight.dtype == torch.float64


def test_the_largest_seed_is_a_seed():
    student = distill(taught(), model(8, 1), DATA.inputs, seed=2**32 - 1, epochs=1)
    assert torch.isfinite(student(DATA.inputs)).all()


def test_a_model_is_not_its_own_student():
    teacher = taught()
    distill(teacher, copy.deepcopy(teacher), DATA.inputs, epochs=1)
    with pytest.raises(UsageError, match="teacher and student are one model"):
        distill(teacher, teacher, DATA.inputs, epochs=1)


def test_a_teacher_is_not_changed_through_weights_that_it_shares():
    body = nn.Linear(4, 4)
    teacher, student = (nn.Sequential(body, nn.Linear(4, 3)) for _ in range(2))
    with pytest.raises(UsageError, match=r"shares '0\.weight' with its teacher"):
        distill(teacher, student, DATA.inputs, epochs=1)
    body.requires_grad_(False)
    before = body.weight.clone()
    distill(teacher, student, DATA.inputs, epochs=1)
    assert torch.equal(before, body.weight)


def test_without_gradients_nothing_is_learned():
    with torch.no_grad(), pytest.raises(UsageError, match="gradients are switched off"):
        distill(taught(), model(8, 1), DATA.inputs, epochs=1)


def test_models_that_work_in_place_leave_the_rows_as_they_are():
    rows, before = DATA.inputs.clone(), DATA.inputs.clone()
    teacher, student = (nn.Sequential(nn.ReLU(inplace=True), model(8, seed)) for seed in (0, 1))
    distill(teacher, student, rows, epochs=2, batch=32)
    assert torch.equal(rows, before)
