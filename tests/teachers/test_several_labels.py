"""Teachers of several labels a row: what each kind answers, as log-odds by label."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.edge.exporters.onnx import Onnx as Exporter
from stillhouse.errors import SettingsError, SourceError
from stillhouse.evaluation import labels
from stillhouse.models.classifier import model_of
from stillhouse.models.normalize import Normalize
from stillhouse.models.onnx_file import labels_of, read
from stillhouse.teachers import speech
from stillhouse.teachers.ask import ask
from stillhouse.teachers.probabilities import form_of, log_odds, outputs_of
from stillhouse.teachers.teacher import Lesson, Oracle

NAMES = ("war", "music", "art")
SCHEMA = Schema("table", (4,), (), tuple(map(Feature, "wxyz")), "multi_label", labels=NAMES)
LINE = torch.tensor([[4.0, 0, 0, 0], [0, 4.0, 0, 0], [-2.0, 0, 2.0, 0]])


def news(rows: int = 260) -> Dataset:
    inputs = torch.randn(rows, 4, generator=torch.Generator().manual_seed(3))
    targets = (inputs @ LINE.T > 0).float()
    targets[::7, 1] = torch.nan
    targets[::20] = torch.nan
    return Dataset(inputs, targets, SCHEMA, torch.arange(rows))


def lesson(folder: Path) -> Lesson:
    data = news()
    train, val = data.take(torch.arange(180)), data.take(torch.arange(180, 260))
    return Lesson(train, val, folder, folder, 0, lambda *_: None)


def taught(given: Lesson, **spec: Any) -> Oracle:
    teacher = config.plugin("teachers", spec, where="teacher")
    found: Oracle = teacher.recall(teacher.learn(given), SCHEMA)
    return found


def ranks(answers: torch.Tensor, val: Dataset) -> float:
    return labels.scores(answers, val.targets)["map"]


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "sklearn", "trees": 20, "depth": 3},
        {"name": "sklearn", "estimator": "logistic_regression"},
        {"name": "sklearn", "estimator": "random_forest", "trees": 20, "balanced": True},
        {"name": "fit", "architecture": {"name": "mlp", "width": 16}, "epochs": 30},
        {
            "name": "ensemble",
            "members": [
                {"name": "sklearn", "estimator": "logistic_regression"},
                {"name": "sklearn", "trees": 10, "depth": 3},
            ],
        },
    ],
    ids=["boosting", "line", "forest", "fit", "ensemble"],
)
def test_what_learns_here_ranks_every_label(tmp_path, spec):
    given = lesson(tmp_path)
    answers = ask(taught(given, **spec), given.val.labelled)
    assert answers.shape[1] == 3
    assert ranks(answers, given.val.labelled) > 0.85


def test_a_label_that_is_alike_in_all_rows_is_told_as_it_is(tmp_path):
    given = lesson(tmp_path)
    given.train.targets[:, 2] = 0.0
    answers = ask(taught(given, name="sklearn", trees=5), given.val)
    assert (answers[:, 2] < -20).all()


def test_an_ensemble_averages_chances_not_log_odds(tmp_path):
    given = lesson(tmp_path)
    for name, chance in (("low", 0.2), ("high", 0.8)):
        np.savez(
            tmp_path / f"{name}.npz", rows=np.arange(260), probabilities=np.full((260, 3), chance)
        )
    members = [{"name": "predictions", "path": f"{name}.npz"} for name in ("low", "high")]
    answers = ask(taught(given, name="ensemble", members=members), given.val)
    assert answers.abs().max() < 1e-6
    with pytest.raises(SettingsError, match="rows have several labels"):
        taught(given, name="ensemble", members=members, weights="accuracy")


def test_predictions_are_chances_that_need_not_sum_to_1(tmp_path):
    given = lesson(tmp_path)
    told = np.array([0.9, 0.5, 0.2]) * np.ones((260, 1))
    names = np.array(["art", "music", "war"])
    np.savez(tmp_path / "said.npz", rows=np.arange(260), probabilities=told, classes=names)
    answers = ask(taught(given, name="predictions", path="said.npz"), given.val)
    wanted = torch.logit(torch.tensor([0.2, 0.5, 0.9]))
    torch.testing.assert_close(answers[0], wanted, atol=1e-5, rtol=1e-5)
    np.savez(tmp_path / "odd.npz", rows=np.arange(260), probabilities=told * 3)
    with pytest.raises(SourceError, match=r"is not in \[0, 1\].*\n?.*sigmoid"):
        taught(given, name="predictions", path="odd.npz")
    np.savez(tmp_path / "two.npz", rows=np.arange(260), probabilities=told[:, :2])
    with pytest.raises(SourceError, match="knows 2 labels, the data have 3"):
        taught(given, name="predictions", path="two.npz")


def exported(names: tuple[str, ...], net: nn.Module) -> bytes:
    from dataclasses import replace

    schema = replace(SCHEMA, labels=names)
    return Exporter().export(model_of(schema, Normalize.empty(schema), net).eval(), schema)


def test_a_student_of_this_house_teaches_by_the_names_in_its_file(tmp_path):
    given, net = lesson(tmp_path), nn.Linear(4, 3)
    with torch.no_grad():
        net.weight.copy_(LINE[[2, 0, 1]])
        net.bias.zero_()
    other = ("art", "war", "music")
    data = exported(other, net)
    assert labels_of(read(data, "student.onnx")) == other
    (tmp_path / "student.onnx").write_bytes(data)
    answers = ask(taught(given, name="onnx", path="student.onnx"), given.val)
    torch.testing.assert_close(answers, given.val.inputs @ LINE.T, atol=1e-4, rtol=1e-4)
    (tmp_path / "other.onnx").write_bytes(exported(("art", "war", "sport"), net))
    with pytest.raises(SourceError, match="the data have no label 'sport'"):
        taught(given, name="onnx", path="other.onnx")


def test_a_module_of_ones_own_answers_log_odds(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\n\n\n"
        "def load(num_classes, in_features):\n"
        "    net = nn.Linear(in_features, num_classes)\n"
        "    nn.init.constant_(net.bias, 0.25)\n"
        "    nn.init.zeros_(net.weight)\n"
        "    return net\n"
    )
    from stillhouse import plugins

    plugins.use((), tmp_path)
    given = lesson(tmp_path)
    answers = ask(taught(given, name="module", module="mine:load"), given.val)
    assert answers.unique().tolist() == [0.25]


def test_probabilities_are_told_from_log_odds_by_where_they_lie():
    chances = torch.rand(8, 3)
    assert form_of("auto", chances, SCHEMA, where="") == "chances"
    assert form_of("auto", chances - 0.5, SCHEMA, where="") == "logits"
    assert form_of("logits", chances, SCHEMA, where="") == "logits"
    torch.testing.assert_close(outputs_of(chances, "chances").sigmoid(), chances)
    assert log_odds(torch.tensor([[0.0, 1.0]])).isfinite().all()


def test_an_endpoint_may_say_chances_of_any_sum():
    def said(probabilities: list[list[float]]) -> bytes:
        return json.dumps({"rows": [4], "probabilities": probabilities}).encode()

    def heard(data: bytes) -> torch.Tensor:
        return speech.answers(data, torch.tensor([4]), SCHEMA, classes=(), where="the endpoint")

    assert heard(said([[0.9, 0.9, 0.1]])).tolist() == [[0.9, 0.9, 0.1]]
    with pytest.raises(SourceError, match=r"is not in \[0, 1\]"):
        heard(said([[0.9, 1.9, 0.1]]))
    with pytest.raises(SourceError, match="knows 2 labels, the data have 3"):
        heard(said([[0.9, 0.9]]))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"name": "votes", "of": {"name": "sklearn", "trees": 2}},
            "votes count the one class that a teacher names",
        ),
        (
            {
                "name": "assistant",
                "of": {"name": "sklearn", "trees": 2},
                "architecture": {"name": "mlp"},
            },
            "follows probabilities, and rows have several labels",
        ),
    ],
    ids=["votes", "assistant"],
)
def test_a_teacher_of_one_class_a_row_is_refused_by_name(tmp_path, spec, why):
    given = lesson(tmp_path)
    taught(given, **spec["of"])
    with pytest.raises(SettingsError, match=why):
        taught(given, **spec)


def test_an_exported_program_answers_log_odds(tmp_path):
    given, net = lesson(tmp_path), nn.Linear(4, 3)
    rows = {0: torch.export.Dim("rows", min=1)}
    program = torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=(rows,))
    torch.export.save(program, tmp_path / "net.pt2")
    answers = ask(taught(given, name="exported", path="net.pt2"), given.val)
    with torch.no_grad():
        torch.testing.assert_close(answers, net(given.val.inputs))
    chosen = nn.Sequential(net, nn.Sigmoid())
    program = torch.export.export(chosen, (torch.zeros(2, 4),), dynamic_shapes=(rows,))
    torch.export.save(program, tmp_path / "chosen.pt2")
    sure = ask(taught(given, name="exported", path="chosen.pt2"), given.val)
    torch.testing.assert_close(sure, answers, atol=1e-4, rtol=1e-4)


def test_a_stored_model_of_scikit_learn_says_the_chance_of_each_label(tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multioutput import MultiOutputClassifier

    from stillhouse.teachers.persisted import Decider, Estimator

    given = lesson(tmp_path)
    whole = ~given.train.targets.isnan().any(1)
    table, told = given.train.inputs[whole].numpy(), given.train.targets[whole].numpy()
    model = MultiOutputClassifier(LogisticRegression()).fit(table, told)
    answers = ask(Estimator(model, SCHEMA, where="the model"), given.val)
    wanted = np.stack([each[:, 1] for each in model.predict_proba(given.val.inputs.numpy())], 1)
    torch.testing.assert_close(answers.sigmoid(), torch.from_numpy(wanted).float())
    with pytest.raises(SourceError, match="decisions alone do not say how sure"):
        Decider(model, SCHEMA, where="the model")


def test_labels_in_another_order_are_refused_and_the_order_that_fits_is_told():
    from stillhouse.clock import ManualClock
    from stillhouse.teachers.probe import Job, probe
    from stillhouse.teachers.teacher import oracle

    data, noise = news(), torch.randn(260, 3, generator=torch.Generator().manual_seed(1))

    def looked(line: torch.Tensor, doubt: float = 0.0) -> None:
        def answer(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return inputs @ line.T + doubt * noise[rows]

        probe(oracle(answer), data, Job(100, 0), ManualClock())

    looked(LINE)
    looked(LINE, doubt=9.0)
    looked(torch.zeros_like(LINE), doubt=1.0)
    with pytest.raises(SourceError, match=r"another order.*classes: \['art', 'war', 'music'\]"):
        looked(LINE[[2, 0, 1]])
