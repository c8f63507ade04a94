"""Teachers of a quantity: what each kind answers of a price, in its own unit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Quantity, Schema
from stillhouse.edge.columns import with_columns
from stillhouse.errors import SettingsError, SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Lesson, Oracle

FEATURES = (
    Feature("area"),
    Feature("district", "category", categories=("north", "south"), missing=True),
)
LEVELS = (0.1, 0.5, 0.9)


def flats(quantiles: tuple[float, ...] = ()) -> Dataset:
    """Prices of 2,000 a square metre, a quarter more in the south, some of them unknown."""
    generator = torch.Generator().manual_seed(5)
    area = torch.rand(300, generator=generator) * 100 + 20
    south = torch.randint(2, (300,), generator=generator).float()
    noise = 1 + 0.05 * torch.randn(300, generator=generator)
    prices = area * 2000 * (1 + 0.25 * south) * noise
    prices[::30] = torch.nan
    south[::11] = torch.nan
    quantity = Quantity("price", "€", quantiles)
    schema = Schema("table", (2,), (), FEATURES, "regression", quantity)
    return Dataset(torch.stack([area, south], dim=1), prices, schema, torch.arange(300))


def lesson(folder: Path, quantiles: tuple[float, ...] = ()) -> Lesson:
    rows, val = torch.arange(220), torch.arange(220, 300)
    data = flats(quantiles)
    return Lesson(data.take(rows), data.take(val), folder, folder, 0, lambda *_: None)


def taught(given: Lesson, **spec: object) -> Oracle:
    teacher = config.plugin("teachers", spec, where="teacher")
    found: Oracle = teacher.recall(teacher.learn(given), given.train.schema)
    return found


def r2(answers: torch.Tensor, val: Dataset) -> float:
    there = ~val.targets.isnan()
    truth, told = val.targets[there], answers[there]
    return float(1 - (told - truth).square().sum() / (truth - truth.mean()).square().sum())


@pytest.mark.parametrize("estimator", ["gradient_boosting", "random_forest", "linear_regression"])
def test_scikit_learns_models_tell_a_mean_in_its_unit(tmp_path: Path, estimator: str):
    given = lesson(tmp_path)
    trees = {} if estimator == "linear_regression" else {"trees": 40}
    answers = ask(taught(given, name="sklearn", estimator=estimator, **trees), given.val)
    assert answers.shape == (80, 1)
    assert r2(answers[:, 0], given.val) > 0.85


def test_boosting_tells_quantiles_and_others_are_refused(tmp_path: Path):
    given = lesson(tmp_path, LEVELS)
    answers = ask(taught(given, name="sklearn", trees=40), given.val)
    there = ~given.val.targets.isnan()
    inside = (answers[there, 0] <= given.val.targets[there]) & (
        given.val.targets[there] <= answers[there, 2]
    )
    assert 0.5 < float(inside.double().mean()) <= 1
    with pytest.raises(SettingsError, match="random_forest tells a mean"):
        taught(given, name="sklearn", estimator="random_forest")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"estimator": "logistic_regression"}, "cannot tell 'price', a quantity.*linear_regres"),
        ({"balanced": True}, "no classes to balance"),
    ],
)
def test_what_is_for_classes_is_refused_by_name(tmp_path: Path, spec: dict[str, object], said: str):
    with pytest.raises(SettingsError, match=said):
        taught(lesson(tmp_path), name="sklearn", **spec)


def test_votes_count_classes_and_no_quantities(tmp_path: Path):
    boosted = {"name": "sklearn", "trees": 2}
    taught(lesson(tmp_path), **boosted)
    with pytest.raises(SettingsError, match=r"votes count the one class .* this is a quantity"):
        taught(lesson(tmp_path), name="votes", of=boosted)


def test_a_line_of_quantities_is_refused_classes(tmp_path: Path, lesson: Callable[[], Lesson]):
    with pytest.raises(SettingsError, match="cannot tell classes"):
        taught(lesson(), name="sklearn", estimator="linear_regression")


def test_answers_elsewhere_are_values_by_row(tmp_path: Path):
    given = lesson(tmp_path)
    rows = np.arange(300)[::-1]
    np.savez(tmp_path / "a.npz", rows=rows, values=rows.astype(float) * 1000)
    answers = ask(taught(given, name="predictions", path="a.npz"), given.val)
    assert answers[:3, 0].tolist() == [220_000, 221_000, 222_000]
    lines = "\n".join(f"{row},{row * 1000}" for row in rows)
    (tmp_path / "a.csv").write_text(f"rows,mean\n{lines}\n")
    assert torch.equal(ask(taught(given, name="predictions", path="a.csv"), given.val), answers)
    np.savez(tmp_path / "b.npz", rows=rows, values=np.where(rows == 7, np.nan, rows))
    with pytest.raises(SourceError, match="answer to row 7 is not a finite number"):
        taught(given, name="predictions", path="b.npz")
    with pytest.raises(SourceError, match="answers 1 numbers a row, 'price' is told by 3"):
        taught(lesson(tmp_path, LEVELS), name="predictions", path="a.npz")


def line(output: list[Any], columns: int = 2) -> onnx.ModelProto:
    """Prices of 2,000 a square metre, whatever the district."""
    weight = numpy_helper.from_array(np.array([[2000.0], [0.0]][:columns], np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"])]
    shape = numpy_helper.from_array(np.array([-1] * len(output), np.int64), "shape")
    if len(output) == 1:
        nodes.append(helper.make_node("Reshape", ["z", "shape"], ["y"]))
    else:
        nodes.append(helper.make_node("Identity", ["z"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "line",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [weight, shape],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.mark.parametrize("output", [["N", 1], ["N"]])
def test_an_onnx_model_answers_n_or_n_by_1_and_its_numbers_stay_as_they_are(
    tmp_path: Path, output: list[Any]
):
    given = lesson(tmp_path)
    whole = given.val.take(~given.val.inputs.isnan().any(dim=1))
    (tmp_path / "t.onnx").write_bytes(line(output).SerializeToString())
    answers = ask(taught(given, name="onnx", path="t.onnx"), whole)
    torch.testing.assert_close(answers[:, 0], whole.inputs[:, 0] * 2000)
    with pytest.raises(SettingsError, match="'price' is a quantity, which has no probabilities"):
        taught(given, name="onnx", path="t.onnx", output="probabilities")


def test_an_onnx_model_may_take_a_tables_columns_by_name(tmp_path: Path):
    given = lesson(tmp_path)
    named = with_columns(line(["N", 1]), given.train.schema)
    (tmp_path / "t.onnx").write_bytes(named.SerializeToString())
    whole = given.val.take(~given.val.inputs.isnan().any(dim=1))
    answers = ask(taught(given, name="onnx", path="t.onnx"), whole)
    torch.testing.assert_close(answers[:, 0], whole.inputs[:, 0] * 2000)
    other = helper.make_tensor_value_info("size", TensorProto.FLOAT, ["N"])
    named.graph.input[0].CopyFrom(other)
    named.graph.node[0].input[0] = "size"
    (tmp_path / "t.onnx").write_bytes(named.SerializeToString())
    with pytest.raises(SourceError, match="takes a column 'size', which the data have not"):
        taught(given, name="onnx", path="t.onnx")


def test_an_ensemble_averages_values(tmp_path: Path):
    given = lesson(tmp_path)
    for name, price in (("low", 1000.0), ("high", 3000.0)):
        np.savez(tmp_path / f"{name}.npz", rows=np.arange(300), values=np.full(300, price))
    members = [{"name": "predictions", "path": f"{name}.npz"} for name in ("low", "high")]
    answers = ask(taught(given, name="ensemble", members=members), given.val)
    assert answers.unique().tolist() == [2000.0]
    with pytest.raises(SettingsError, match="no member is right or wrong"):
        taught(given, name="ensemble", members=members, weights="accuracy")
