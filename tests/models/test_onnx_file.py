import pickle
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from stillhouse.errors import SourceError
from stillhouse.models import onnx_file

F = TensorProto.FLOAT
PLACES = (
    "initializer",
    "constant",
    "sparse_initializer",
    "sparse_constant",
    "tensors_attribute",
    "subgraph",
    "function",
)
PATHS = ("../secret", "/etc/passwd", "link", "beside.bin")


def tensor(name: str, values: list[float], outside: str | None) -> TensorProto:
    found = numpy_helper.from_array(np.array(values, dtype=np.float32), name)
    if outside is not None:
        found.ClearField("raw_data")
        found.data_location = TensorProto.EXTERNAL
        found.external_data.add(key="location", value=outside)
    return found


def sparse(name: str, outside: str | None) -> onnx.SparseTensorProto:
    indices = numpy_helper.from_array(np.array([0, 1], dtype=np.int64), f"{name}_indices")
    return helper.make_sparse_tensor(tensor(name, [1.0, 2.0], outside), indices, [2])


def branch(name: str, outside: str | None) -> onnx.GraphProto:
    node = helper.make_node("Constant", [], ["c"], value=tensor("inner", [1.0, 2.0], outside))
    return helper.make_graph(
        [node, helper.make_node("Identity", ["c"], [f"{name}_out"])],
        name,
        [],
        [helper.make_tensor_value_info(f"{name}_out", F, [2])],
    )


def model(place: str, outside: str | None = None) -> onnx.ModelProto:
    """x [N, 2] + w, with w in one of the places where ONNX can keep a tensor."""
    nodes, initializer, sparse_initializer, functions = (
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [],
        [],
        [],
    )
    opsets = [helper.make_opsetid("", 17)]
    if place == "initializer":
        initializer = [tensor("w", [1.0, 2.0], outside)]
    elif place == "constant":
        nodes.insert(
            0, helper.make_node("Constant", [], ["w"], value=tensor("v", [1.0, 2.0], outside))
        )
    elif place == "sparse_initializer":
        sparse_initializer = [sparse("w", outside)]
    elif place == "sparse_constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse("v", outside)))
    elif place == "tensors_attribute":
        initializer = [tensor("w", [1.0, 2.0], None)]
        nodes[0].attribute.append(helper.make_attribute("notes", [tensor("v", [1.0], outside)]))
    elif place == "subgraph":
        flag = numpy_helper.from_array(np.array(True), "flag")
        initializer = [flag]
        nodes.insert(
            0,
            helper.make_node(
                "If",
                ["flag"],
                ["w"],
                then_branch=branch("then", outside),
                else_branch=branch("else", None),
            ),
        )
    else:
        inner = [
            helper.make_node("Constant", [], ["c"], value=tensor("v", [1.0, 2.0], outside)),
            helper.make_node("Add", ["a", "c"], ["b"]),
        ]
        functions = [helper.make_function("ours", "Shift", ["a"], ["b"], inner, opsets)]
        nodes = [helper.make_node("Shift", ["x"], ["y"], domain="ours")]
        opsets = [*opsets, helper.make_opsetid("ours", 1)]
    ends = (
        [helper.make_tensor_value_info("x", F, ["N", 2])],
        [helper.make_tensor_value_info("y", F, ["N", 2])],
    )
    graph = helper.make_graph(nodes, "g", *ends, initializer, sparse_initializer=sparse_initializer)
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_refused_wherever_it_stands(place: str, path: str) -> None:
    with pytest.raises(SourceError, match="keeps its values in another file") as caught:
        onnx_file.read(model(place, path).SerializeToString(), "evil.onnx")
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith("evil.onnx: ")
    assert path in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_the_same_model_with_its_data_inside_is_accepted_and_runs(place: str) -> None:
    found = onnx_file.read(model(place).SerializeToString(), "good.onnx")
    if (
        place == "tensors_attribute"
    ):  # an attribute that Add does not have: only our reader's walk is at stake
        return
    session = onnxruntime.InferenceSession(
        onnx_file.dump(found), providers=["CPUExecutionProvider"]
    )
    [answer] = session.run(None, {"x": np.zeros((1, 2), dtype=np.float32)})
    assert answer.tolist() == [[1.0, 2.0]]


def test_a_location_flag_without_a_path_is_refused_too() -> None:
    evil = model("initializer")
    evil.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(SourceError, match="another file"):
        onnx_file.read(evil.SerializeToString(), "evil.onnx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps({"weights": 1}), "a pickle"),
        (b"PK\x03\x04 and so on", "a pickle or a zip"),
        (b"model: digits\n", "not ONNX"),
        (b"", "no ONNX model"),
        (model("initializer").SerializeToString()[:-3], "cut short"),
    ],
)
def test_what_is_not_onnx_is_refused_by_its_bytes(data: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        onnx_file.read(data, "teacher.onnx")


def test_an_operator_of_a_foreign_library_is_refused_and_a_quantiser_s_is_not() -> None:
    foreign = model("initializer")
    foreign.graph.node[0].domain = "evil.ops"
    with pytest.raises(SourceError, match=r"evil\.ops\.Add"):
        onnx_file.read(foreign.SerializeToString(), "x.onnx")
    for op, fits in (("QLinearAdd", True), ("CDist", False)):
        other = model("initializer")
        other.graph.node[0].domain, other.graph.node[0].op_type = "com.microsoft", op
        if fits:
            onnx_file.read(other.SerializeToString(), "x.onnx")
        else:
            with pytest.raises(SourceError, match="CDist"):
                onnx_file.read(other.SerializeToString(), "x.onnx")


def test_too_many_nodes_or_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = model("constant").SerializeToString()
    onnx_file.read(data, "x.onnx")
    monkeypatch.setattr(onnx_file, "MAX_NODES", 1)
    with pytest.raises(SourceError, match="2 nodes, more than 1"):
        onnx_file.read(data, "x.onnx")
    monkeypatch.setattr(onnx_file, "MAX_BYTES", len(data) - 1)
    with pytest.raises(SourceError, match="more than"):
        onnx_file.read(data, "x.onnx")


def test_two_exports_that_differ_in_notes_and_producer_are_the_same_bytes_once_stripped(
    tmp_path: Path,
) -> None:
    one, two = model("subgraph"), model("subgraph")
    two.producer_name, two.producer_version, two.doc_string = "pytorch", "9.9", str(tmp_path)
    two.metadata_props.add(key="path", value=str(tmp_path))
    two.graph.node[0].doc_string = "line 3"
    two.graph.node[0].metadata_props.add(key="stack", value=str(tmp_path))
    two.graph.node[0].attribute[0].g.initializer.add().CopyFrom(tensor("n", [1.0], None))
    one.graph.node[0].attribute[0].g.initializer.add().CopyFrom(tensor("n", [1.0], None))
    two.graph.node[0].attribute[0].g.initializer[0].doc_string = "deep"
    assert onnx_file.dump(one) != onnx_file.dump(two)
    stripped = onnx_file.dump(onnx_file.strip(two))
    assert stripped == onnx_file.dump(onnx_file.strip(one))
    assert str(tmp_path).encode() not in stripped
    assert two.producer_name == "pytorch"
