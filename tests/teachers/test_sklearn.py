import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import Corrupt, DataError, SettingsError, SourceError
from stillhouse.evaluation.metrics import accuracy
from stillhouse.teachers.ask import ask
from stillhouse.teachers.sklearn import Sklearn
from stillhouse.teachers.teacher import Lesson
from stillhouse.workspace import dump_tensors, parse_tensors

SMALL = [
    {"estimator": "gradient_boosting", "trees": 10, "learning_rate": 0.3},
    {"estimator": "random_forest", "trees": 15, "depth": 8},
    {"estimator": "logistic_regression"},
]
EACH = pytest.mark.parametrize("settings", SMALL, ids=lambda settings: settings["estimator"])


def make(settings: dict[str, object]) -> Sklearn:
    made: Sklearn = config.plugin("teachers", {"name": "sklearn", **settings}, where="teacher")
    return made


def ward(rows: int = 240) -> Dataset:
    """A table in which the class hangs on a category, on whether a cell is missing, and on a
    number.
    """
    generator = torch.Generator().manual_seed(3)
    inputs = torch.rand(rows, 3, generator=generator)
    inputs[:, 1] = (inputs[:, 1] * 5).floor()
    inputs[inputs[:, 2] < 0.3, 2] = torch.nan
    targets = ((inputs[:, 1] == 1) | (inputs[:, 1] == 3) | inputs[:, 2].isnan()).long()
    targets[inputs[:, 0] > 0.9] = 2
    inputs[::17, 1] = torch.nan
    features = (
        Feature("age"),
        Feature("ward", "category", categories=tuple("abcde"), missing=True),
        Feature("lab", missing=True),
    )
    return Dataset(
        inputs,
        targets,
        Schema("table", (3,), ("home", "stay", "icu"), features),
        torch.arange(rows),
    )


def table_lesson(folder: Path) -> Lesson:
    data = ward()
    return Lesson(
        data.take(torch.arange(180)),
        data.take(torch.arange(180, 240)),
        folder,
        folder,
        0,
        lambda done, total, note: None,
    )


@EACH
def test_it_learns_and_trained_again_it_answers_the_same_bits(
    lesson: Callable[[], Lesson], settings: dict[str, object]
) -> None:
    given = lesson()
    files = make(settings).learn(given)
    one, two = (make(settings).recall(files, given.train.schema) for _ in range(2))
    answers = ask(one, given.val)
    assert accuracy(answers, given.val.targets) > 0.7
    assert torch.equal(answers, ask(two, given.val))
    torch.testing.assert_close(answers.exp().sum(dim=1), torch.ones(100))
    assert (one.gives, one.module) == ({"logits"}, None)
    assert make(settings).learn(given) == files


@EACH
def test_missing_cells_and_categories_are_used(tmp_path: Path, settings: dict[str, object]) -> None:
    given = table_lesson(tmp_path)
    teacher = make({**settings, "trees": 40} if "trees" in settings else settings)
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    assert accuracy(ask(oracle, given.val), given.val.targets) > 0.8


@EACH
@pytest.mark.parametrize(
    ("targets", "said"),
    [(-1, "no row has a target to learn from"), (1, "every row with a target is")],
)
def test_labels_that_teach_nothing_are_refused(
    tmp_path: Path, settings: dict[str, object], targets: int, said: str
) -> None:
    given = table_lesson(tmp_path)
    blank = replace(given.train, targets=torch.full_like(given.train.targets, targets))
    with pytest.raises(DataError, match=said):
        make(settings).learn(replace(given, train=blank))
    make(settings).learn(given)


@EACH
def test_a_class_without_a_labelled_row_has_a_finite_answer(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    given = table_lesson(tmp_path)
    few = replace(
        given.train, targets=torch.where(given.train.targets == 1, -1, given.train.targets)
    )
    teacher = make(settings)
    answers = ask(teacher.recall(teacher.learn(replace(given, train=few)), few.schema), given.val)
    assert answers.shape == (60, 3)
    assert (answers[:, 1] < -20).all()
    assert answers.isfinite().all()


def test_rare_classes_may_weigh_as_much(tmp_path: Path) -> None:
    given = table_lesson(tmp_path)
    plain, balanced = (
        make({"estimator": "logistic_regression", "balanced": flag}) for flag in (False, True)
    )
    rare = [
        ask(t.recall(t.learn(given), given.train.schema), given.val).softmax(dim=1)[:, 2].mean()
        for t in (plain, balanced)
    ]
    assert rare[1] > rare[0] * 1.3


def test_the_seed_is_the_forest_s(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    one, two = ({"estimator": "random_forest", "trees": 5, "seed": seed} for seed in (0, 1))
    a, b = (
        ask(make(s).recall(make(s).learn(given), given.train.schema), given.val) for s in (one, two)
    )
    assert not torch.equal(a, b)
    assert torch.equal(
        b,
        ask(
            make(one).recall(make(one).learn(replace(given, seed=1)), given.train.schema), given.val
        ),
    )


def test_nothing_stored_is_a_pickle(lesson: Callable[[], Lesson]) -> None:
    files = make(SMALL[2]).learn(lesson())
    assert set(files) == {"rows.safetensors", "probe.safetensors", "form.json"}
    assert set(parse_tensors(files["rows.safetensors"], where="x")) == {"inputs", "targets"}
    json.loads(files["form.json"])


def test_a_teacher_that_answers_otherwise_than_it_did_is_refused(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    teacher = make(SMALL[2])
    files = dict(teacher.learn(given))
    teacher.recall(files, given.train.schema)
    held = parse_tensors(files["rows.safetensors"], where="x")
    files["rows.safetensors"] = dump_tensors({**held, "targets": held["targets"].flip(0)})
    with pytest.raises(Corrupt, match=r"answers differ by .* from those stored"):
        teacher.recall(files, given.train.schema)


def test_a_teacher_of_other_classes_is_refused(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    teacher = make(SMALL[2])
    with pytest.raises(SourceError, match="knows 10 classes, the data have 2"):
        teacher.recall(teacher.learn(given), replace(given.train.schema, classes=("a", "b")))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"estimator": "logistic_regression", "trees": 5},
            "teacher.trees: logistic_regression has no 'trees'",
        ),
        (
            {"estimator": "random_forest", "learning_rate": 0.1},
            "random_forest has no 'learning_rate'",
        ),
        ({"estimator": "svm"}, "teacher.estimator: must be 'gradient_boosting'"),
        ({"trees": 0}, "teacher.trees"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace(".", r"\.")):
        make(settings)
    make({"trees": 5})
