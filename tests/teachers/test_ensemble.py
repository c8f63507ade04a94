from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse import config
from stillhouse.errors import PluginNotFound, SettingsError, UsageError
from stillhouse.evaluation.metrics import accuracy
from stillhouse.steps.teacher import step
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Lesson, Teacher

LINE = {"name": "sklearn", "estimator": "logistic_regression"}
FOREST = {"name": "sklearn", "estimator": "random_forest", "trees": 10}
NET = {"name": "fit", "architecture": {"name": "mlp", "width": 8, "depth": 1}, "epochs": 2}


def make(*members: dict[str, Any], **settings: object) -> Teacher:
    made: Teacher = config.plugin(
        "teachers", {"name": "ensemble", "members": list(members), **settings}, where="teacher"
    )
    return made


def answers(teacher: Teacher, given: Lesson) -> torch.Tensor:
    return ask(teacher.recall(teacher.learn(given), given.train.schema), given.val)


def alone(spec: dict[str, Any], given: Lesson) -> torch.Tensor:
    return answers(config.plugin("teachers", spec, where="teacher"), given)


def test_it_answers_the_mean_of_its_members_probabilities(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    found = answers(make(LINE, FOREST), given)
    wanted = (
        alone(LINE, given).softmax(dim=1) + alone(FOREST, replace(given, seed=1)).softmax(dim=1)
    ) / 2
    torch.testing.assert_close(found.softmax(dim=1), wanted)


def test_members_may_weigh_as_they_are_right_on_val(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    line, net = (
        alone(LINE, given),
        alone(NET, replace(given, seed=1, scratch=given.scratch / "other")),
    )
    good, bad = accuracy(line, given.val.targets), accuracy(net, given.val.targets)
    assert good > bad
    wanted = (good * line.softmax(dim=1) + bad * net.softmax(dim=1)) / (good + bad)
    torch.testing.assert_close(
        answers(make(LINE, NET, weights="accuracy"), given).softmax(dim=1), wanted
    )


def test_the_same_net_twice_is_two_nets_with_their_own_checkpoints(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    files = make(NET, NET).learn(given)
    assert {"0/teacher.safetensors", "1/teacher.safetensors", "form.json"} == set(files)
    assert files["0/teacher.safetensors"] != files["1/teacher.safetensors"]
    assert make(NET, NET).learn(given) == files


def test_it_can_answer_only_what_all_members_can(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    np.savez(given.root / "p.npz", rows=np.arange(210), probabilities=np.full((210, 10), 0.1))
    teacher = make(LINE, {"name": "predictions", "path": "p.npz"})
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    assert oracle.answers(given.val.rows).tolist() == [True] * 10 + [False] * 90
    assert (oracle.gives, oracle.parameters) == ({"logits"}, 0)


def test_its_members_files_make_the_step_stale() -> None:
    members = [
        LINE,
        {"name": "predictions", "path": "p.npz"},
        {"name": "ensemble", "members": [{"name": "onnx", "path": "t.onnx"}, LINE]},
    ]
    found = step.sources({"teacher": {"name": "ensemble", "members": members, "gate": None}})
    assert found == {"members.1.path": "p.npz", "members.2.members.0.path": "t.onnx"}


def test_its_weights_are_those_of_all_members(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    teacher = make(LINE, NET)
    assert (
        teacher.recall(teacher.learn(given), given.train.schema).parameters == 650 + 64 * 8 + 8 + 90
    )


@pytest.mark.parametrize(
    ("members", "error", "said"),
    [
        ([LINE], SettingsError, "two members or more, not 1"),
        (
            [LINE, {"name": "sklern"}],
            PluginNotFound,
            r"teacher\.members\.1\.name: .*Did you mean 'sklearn'",
        ),
        (
            [LINE, {"name": "fit"}],
            SettingsError,
            r"teacher\.members\.1\.architecture: this setting is required",
        ),
        (
            [LINE, {"name": "fit", "architecture": {"name": "mlpp"}}],
            UsageError,
            "Did you mean 'mlp'",
        ),
    ],
)
def test_members_that_do_not_fit_are_refused_by_their_place(
    members: list[dict[str, Any]], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make(*members)
    make(LINE, LINE)


def test_trust_by_row_takes_each_member_where_it_is_sure_of_itself(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    rows, targets = given.val.rows, given.val.targets
    known = torch.nn.functional.one_hot(targets, 10).float()
    first = (targets < 5).unsqueeze(1)
    # each member knows half of the classes and guesses, without confidence, among the others
    answers = {}
    for number, mine in enumerate((first, ~first)):
        guess = torch.nn.functional.one_hot((targets + 1) % 10, 10).float()
        sure = torch.where(mine, 0.9 * known + 0.01, 0.3 * guess + 0.07)
        path = given.root / f"{number}.npz"
        np.savez(path, rows=rows.numpy(), probabilities=sure.double().numpy())
        answers[number] = path.name
    members = [{"name": "predictions", "path": path} for path in answers.values()]
    right = {}
    for weights in ("equal", "row"):
        teacher = make(*members, weights=weights)
        oracle = teacher.recall(teacher.learn(given), given.train.schema)
        said = ask(oracle, given.val)
        torch.testing.assert_close(
            said.double().exp().sum(1), torch.ones(len(rows)).double(), rtol=1e-4, atol=1e-4
        )
        right[weights] = said.softmax(1)[torch.arange(len(rows)), targets]
    assert (right["row"] > right["equal"] + 0.1).all()
