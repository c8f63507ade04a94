from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from stillhouse import config
from stillhouse.errors import DataError, SettingsError, SourceError, UsageError
from stillhouse.evaluation.metrics import accuracy
from stillhouse.teachers.ask import ask
from stillhouse.teachers.fit import Fit
from stillhouse.teachers.teacher import Lesson

SPEC = {"name": "fit", "architecture": {"name": "mlp", "width": 32, "depth": 1}, "epochs": 15}


def make(**changes: object) -> Fit:
    made: Fit = config.plugin("teachers", {**SPEC, **changes}, where="teacher")
    return made


def test_it_learns_and_what_it_stored_answers_the_same(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    files = make().learn(given)
    oracle = make().recall(files, given.train.schema)
    assert accuracy(ask(oracle, given.val), given.val.targets) > 0.7
    assert oracle.module is not None
    assert oracle.gives == {"logits", "features", "gradients"}
    assert oracle.parameters == sum(p.numel() for p in oracle.module.parameters())
    torch.testing.assert_close(
        ask(oracle, given.val), oracle.module(given.val.inputs).detach(), rtol=0, atol=0
    )


def test_without_a_label_nothing_is_learned(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    blank = replace(given.train, targets=torch.full_like(given.train.targets, -1))
    with pytest.raises(DataError, match="no row has a target to learn from"):
        make(epochs=1).learn(replace(given, train=blank))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    files = make(epochs=2).learn(given)
    (given.scratch / "fit.safetensors").unlink()
    assert make(epochs=2).learn(given) == files
    assert make(epochs=2, seed=1).learn(given) != files
    assert make(epochs=2).learn(replace(given, seed=1)) != files


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": {"name": "mpl"}}, "teacher.architecture.name: there is no plugin 'mpl'"),
        ({"architecture": {"name": "mlp", "width": 0}}, "teacher.architecture.width"),
        ({"optimizer": {"name": "adamw", "lr": -1.0}}, "teacher.optimizer.lr"),
        ({"epochs": 0}, "teacher.epochs"),
        ({"epoch": 5}, "unknown setting 'epoch'. Did you mean 'epochs'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        make(**changes)
    make()


def test_a_teacher_of_other_classes_is_refused(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    files = make(epochs=1).learn(given)
    with pytest.raises(SourceError, match="do not fit"):
        make().recall(files, replace(given.train.schema, classes=("a", "b")))


def test_the_architecture_is_required() -> None:
    with pytest.raises(SettingsError, match=r"teacher\.architecture: this setting is required"):
        config.plugin("teachers", {"name": "fit"}, where="teacher")
