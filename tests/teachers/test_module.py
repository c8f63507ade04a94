from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from stillhouse import plugins
from stillhouse.errors import SettingsError, SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.module import Module
from stillhouse.teachers.teacher import Lesson

MINE = """
import torch
from torch import nn

def load(classes, scale=1.0):
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, classes))
    with torch.no_grad():
        net[2].weight.copy_(scale * torch.arange(64 * classes).reshape(classes, 64).sin())
    return net

def large(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))

def maps():
    return nn.Identity()

class NoModule:
    pass
"""


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "my_models.py").write_text(MINE)
    plugins.use([], tmp_path)
    yield
    plugins.use([], tmp_path)


def wanted(rows: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return rows.flatten(1) @ torch.arange(640).reshape(10, 64).sin().T + bias


def test_it_brings_its_weights_and_answers_in_evaluation_mode(
    lesson: Callable[[], Lesson],
) -> None:
    given, teacher = lesson(), Module(module="my_models:load", classes=tuple("9876543210"))
    made = teacher.learn(given)
    oracle = teacher.recall(made, given.train.schema)
    assert oracle.module is not None
    bias = oracle.module.net[2].bias
    torch.testing.assert_close(
        ask(oracle, given.val), wanted(given.val.inputs, bias).flip(1), rtol=1e-4, atol=1e-4
    )
    assert oracle.gives == {"logits", "features", "gradients"}
    assert oracle.parameters == 650
    torch.manual_seed(99)
    again = teacher.recall(made, given.train.schema)
    assert torch.equal(ask(again, given.val), ask(oracle, given.val))


def test_its_settings_and_its_scaling_are_used(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    teacher = Module(module="my_models:load", settings={"scale": 2.0}, mean=(0.5,), std=(0.25,))
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    assert oracle.module is not None
    torch.testing.assert_close(
        ask(oracle, given.val),
        2 * wanted((given.val.inputs - 0.5) / 0.25, oracle.module.net[2].bias / 2),
        rtol=1e-4,
        atol=1e-3,
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("large", r"cannot answer rows of shape \[1, 8, 8\]"),
        ("maps", r"answers \[2, 1, 8, 8\], not logits"),
    ],
)
def test_a_model_of_other_rows_is_refused(
    lesson: Callable[[], Lesson], name: str, said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        Module(module=f"my_models:{name}").learn(lesson())
    Module(module="my_models:load").learn(lesson())


def test_what_is_no_module_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match=r"is no nn.Module"):
        Module(module="my_models:NoModule")
