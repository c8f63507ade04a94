import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.onnx import Onnx
from stillhouse.teachers.scaling import scaled
from stillhouse.teachers.teacher import Lesson

WEIGHT = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)


def model(
    *,
    classes: int = 10,
    softmax: bool = False,
    shape: tuple[Any, ...] = ("N", 1, 8, 8),
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
    ]
    nodes.append(
        helper.make_node("Softmax", ["z"], ["y"], axis=-1)
        if softmax
        else helper.make_node("Identity", ["z"], ["y"])
    )
    width = int(np.prod([d for d in shape[1:] if isinstance(d, int)]))
    weight = numpy_helper.from_array(
        np.resize(WEIGHT[:, :classes], (width, classes)).astype(kind), "w"
    )
    ends = (
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [shape[0], classes])],
    )
    return helper.make_model(
        helper.make_graph(nodes, "g", *ends, [weight]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )


def answers(given: Lesson, made: onnx.ModelProto, **settings: Any) -> torch.Tensor:
    (given.root / "t.onnx").write_bytes(made.SerializeToString())
    teacher = Onnx(path="t.onnx", **settings)
    return ask(teacher.recall(teacher.learn(given), given.train.schema), given.val)


def wanted(given: Lesson) -> torch.Tensor:
    return given.val.inputs.flatten(1) @ torch.from_numpy(WEIGHT)


def test_logits_are_taken_as_they_are(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    torch.testing.assert_close(answers(given, model()), wanted(given))
    torch.testing.assert_close(answers(given, model(dtype=TensorProto.DOUBLE)), wanted(given))


def test_probabilities_are_told_by_looking_and_their_logits_have_the_same_softmax(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    chance = wanted(given).softmax(dim=1)
    torch.testing.assert_close(answers(given, model(softmax=True)).softmax(dim=1), chance)
    torch.testing.assert_close(answers(given, model(softmax=True), output="logits"), chance)


def test_a_model_of_a_fixed_batch_answers_all_rows(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    torch.testing.assert_close(answers(given, model(shape=(7, 1, 8, 8))), wanted(given))


def test_classes_are_reordered_by_name(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    names = tuple(str(k) for k in range(9, -1, -1))
    torch.testing.assert_close(answers(given, model(), classes=names), wanted(given).flip(1))


def test_rows_are_shifted_and_scaled_as_it_was_trained(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    rows = (given.val.inputs - 0.25) / 0.5
    torch.testing.assert_close(
        answers(given, model(), mean=(0.25,), std=(0.5,)),
        rows.flatten(1) @ torch.from_numpy(WEIGHT),
    )
    torch.testing.assert_close(
        answers(given, model(), mean=(0.25,)),
        (given.val.inputs - 0.25).flatten(1) @ torch.from_numpy(WEIGHT),
    )
    with pytest.raises(SourceError, match="2 numbers, the rows have 1 features"):
        answers(given, model(), mean=(0.25, 0.25))


def test_each_channel_has_its_own_scale() -> None:
    features = tuple(Feature(name) for name in "rgb")
    image, series = (
        Schema("image", (3, 2, 2), ("a", "b"), features),
        Schema("series", (5, 3), ("a", "b"), features),
    )
    form = {"mean": [0.0, 1.0, 2.0], "std": [1.0, 2.0, 4.0]}
    assert scaled(torch.ones(1, 3, 2, 2), form, image)[0, :, 0, 0].tolist() == [1.0, 0.0, -0.25]
    assert scaled(torch.ones(1, 5, 3), form, series)[0, 0].tolist() == [1.0, 0.0, -0.25]


def test_it_says_how_many_weights_it_has_and_gives_logits_only(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    (given.root / "t.onnx").write_bytes(model().SerializeToString())
    oracle = Onnx(path="t.onnx").recall(Onnx(path="t.onnx").learn(given), given.train.schema)
    assert (oracle.parameters, oracle.module, oracle.gives) == (640, None, {"logits"})


def outside() -> onnx.ModelProto:
    made = model()
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (model(classes=7), "knows 7 classes, the data have 10"),
        (model(shape=("N", 64)), r"shape \[64\], the data have \[1, 8, 8\]"),
        (model(shape=("N", 1, 28, 28)), r"\[1, 28, 28\], the data have \[1, 8, 8\]"),
        (outside(), "another file"),
        (model(dtype=TensorProto.FLOAT16), "not one tensor of floats"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_both_sides(
    lesson: Callable[[], Lesson], made: onnx.ModelProto, said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        answers(lesson(), made)
    assert caught.value.exit_code == 2
    answers(lesson(), model())


def test_answers_that_are_not_numbers_name_their_rows(lesson: Callable[[], Lesson]) -> None:
    made = model()
    made.graph.node[2].op_type = "Log"
    with pytest.raises(SourceError, match="not a finite number for"):
        answers(lesson(), made)


def test_what_is_no_onnx_or_is_not_there_is_refused(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    with pytest.raises(SourceError, match=r"no file 't\.onnx'"):
        Onnx(path="t.onnx").learn(given)
    (given.root / "t.onnx").write_bytes(pickle.dumps([1]))
    with pytest.raises(SourceError, match="pickle"):
        Onnx(path="t.onnx").learn(given)
    broken = model()
    broken.graph.node[1].op_type = "NoSuchOperator"
    (given.root / "t.onnx").write_bytes(broken.SerializeToString())
    with pytest.raises(SourceError, match="cannot load the model"):
        Onnx(path="t.onnx").learn(given)


def test_the_same_bytes_are_stored_and_the_data_s_path_is_not(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    given = lesson()
    (given.root / "t.onnx").write_bytes(model().SerializeToString())
    files = Onnx(path="t.onnx").learn(given)
    assert files == Onnx(path=str(tmp_path / "t.onnx")).learn(given)
    assert not any(str(tmp_path).encode() in data for data in files.values())
