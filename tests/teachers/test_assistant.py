import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from stillhouse import config
from stillhouse.data.schema import Quantity
from stillhouse.errors import SettingsError, UsageError
from stillhouse.evaluation.metrics import accuracy
from stillhouse.teachers.ask import ask
from stillhouse.teachers.assistant import Assistant, soft_cross_entropy
from stillhouse.teachers.teacher import Lesson

BIG = {"name": "fit", "architecture": {"name": "mlp", "width": 64, "depth": 2}, "epochs": 10}
SPEC: dict[str, Any] = {
    "name": "assistant",
    "of": BIG,
    "architecture": {"name": "mlp", "width": 16, "depth": 1},
    "epochs": 60,
    "batch": 32,
}


def make(**changes: object) -> Assistant:
    made: Assistant = config.plugin("teachers", {**SPEC, **changes}, where="teacher")
    return made


def test_the_loss_is_that_of_the_paper_on_a_case_worked_out_by_hand() -> None:
    # T = 2: the teacher's [0, 2 ln 3] softens to [1/4, 3/4], the student's [0, 0] to [1/2, 1/2]
    found = soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.0, 2 * math.log(3)]]), 2.0)
    assert found.item() == pytest.approx(4 * math.log(2))


def test_its_gradient_is_that_of_the_divergence() -> None:
    draw = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(4, 5, generator=draw), torch.randn(4, 5, generator=draw)
    student.requires_grad_()
    [ours] = torch.autograd.grad(soft_cross_entropy(student, teacher, 3.0).sum(), student)
    divergence = F.kl_div(
        F.log_softmax(student / 3, 1), F.log_softmax(teacher / 3, 1), log_target=True,
        reduction="sum",
    )  # fmt: skip
    [theirs] = torch.autograd.grad(9 * divergence, student)
    torch.testing.assert_close(ours, theirs)


def test_the_big_teacher_teaches_it_where_no_label_does(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    big = config.plugin("teachers", BIG, where="teacher")
    told = ask(big.recall(big.learn(given), given.train.schema), given.val).argmax(dim=1)
    made = make(supervised=0.0)
    oracle = made.recall(made.learn(given), given.train.schema)
    assert float((ask(oracle, given.val).argmax(dim=1) == told).double().mean()) > 0.7
    assert accuracy(ask(oracle, given.val), given.val.targets) > 0.6
    assert oracle.gives == {"logits", "features", "gradients"}


def test_a_chain_of_two_stores_the_last_net_alone(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    chain = make(of={**SPEC, "architecture": {"name": "mlp", "width": 32, "depth": 1}, "epochs": 2}, epochs=2)  # fmt: skip
    assert list(chain.learn(given)) == ["teacher.safetensors"]


def test_the_same_seed_gives_the_same_bytes(lesson: Callable[[], Lesson]) -> None:
    given, found = lesson(), []
    for name in ("a", "b"):
        found.append(make(epochs=2).learn(replace(given, scratch=given.scratch / name)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"of": {"name": "fitt"}}, "teacher.of.name: there is no plugin 'fitt'"),
        ({"architecture": {"name": "mlp", "width": 0}}, "teacher.architecture.width"),
        ({"temperature": 0.0}, "teacher.temperature"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_load(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make(**changes)
    make()


def test_a_quantity_is_refused(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    schema = replace(given.train.schema, classes=(), quantity=Quantity("q"), task="regression")
    with pytest.raises(SettingsError, match="follows probabilities, and this is a quantity"):
        make().learn(replace(given, train=replace(given.train, schema=schema)))
