import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from stillhouse.data.schema import Feature, Schema
from stillhouse.edge.columns import with_columns
from stillhouse.edge.session import Session
from stillhouse.errors import SourceError
from stillhouse.models.onnx_graph import OPERATORS, Graph

RNG = np.random.default_rng(0)


def built(nodes, shape, opset=17, **weights):
    """A model from nodes; weights are float arrays, or whole numbers for shapes and axes."""
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", None])],
        held,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def drawn(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def node(kind, given, made, **told):
    return helper.make_node(kind, given, [made], **told)


CONVNET = built(
    [
        node("Conv", ["x", "w", "c"], "1", strides=[2, 2], pads=[1, 0, 1, 1]),
        node("BatchNormalization", ["1", "s", "o", "m", "v"], "2"),
        node("LeakyRelu", ["2"], "3", alpha=0.1),
        node("MaxPool", ["3"], "4", kernel_shape=[2, 2], strides=[1, 1], pads=[1, 1, 0, 0]),
        node("GlobalAveragePool", ["4"], "5"),
        node("Flatten", ["5"], "6"),
        node("Gemm", ["6", "g", "h"], "y", transB=1, alpha=0.5),
    ],
    (2, 8, 8),
    w=drawn(4, 2, 3, 3), c=drawn(4), s=drawn(4), o=drawn(4), m=drawn(4), v=drawn(4) ** 2 + 0.5,
    g=drawn(3, 4), h=drawn(3),
)  # fmt: skip
DENSE = built(
    [
        node("Sub", ["x", "a"], "1"),
        node("Div", ["1", "d"], "2"),
        node("Reshape", ["2", "to"], "3"),
        node("MatMul", ["3", "w"], "4"),
        node("Add", ["4", "a0"], "5"),
        node("Clip", ["5", "least"], "6"),
        node("Softmax", ["6"], "y", axis=1),
    ],
    (2, 3),
    a=drawn(2, 3), d=np.full((2, 3), 2.0, np.float32), to=np.array([0, 6]), w=drawn(6, 4),
    a0=drawn(4), least=np.float32(-0.2),
)  # fmt: skip


@pytest.mark.parametrize(("model", "shape"), [(CONVNET, (2, 8, 8)), (DENSE, (2, 3))])
def test_a_graph_answers_as_the_runtime_does_and_has_a_gradient(model, shape):
    rows = torch.tensor(drawn(5, *shape), requires_grad=True)
    told = Graph(model)(rows)
    wanted = Session(model.SerializeToString()).ask(rows.detach())
    torch.testing.assert_close(told.detach(), wanted, atol=1e-5, rtol=1e-5)
    [slope] = torch.autograd.grad(told[:, 0].sum(), rows)
    assert (slope != 0).any()


@pytest.mark.parametrize(
    ("kind", "told", "weights"),
    [
        ("Abs", {}, {}),
        ("Erf", {}, {}),
        ("Gelu", {}, {}),
        ("Gelu", {"approximate": "tanh"}, {}),
        ("HardSigmoid", {"alpha": 0.3}, {}),
        ("HardSwish", {}, {}),
        ("LayerNormalization", {"epsilon": 1e-3}, {"s": drawn(6), "b": drawn(6)}),
        ("Max", {}, {"a": drawn(6)}),
        ("Min", {}, {"a": drawn(6)}),
        ("Mish", {}, {}),
        ("PRelu", {}, {"a": drawn(6)}),
        ("Selu", {}, {}),
        ("Softplus", {}, {}),
        ("Softsign", {}, {}),
    ],
)
def test_an_elementwise_operator_is_the_runtimes(kind, told, weights):
    model = built([node(kind, ["x", *weights], "y", **told)], (6,), opset=20, **weights)
    rows = 2 * torch.tensor(drawn(7, 6))
    wanted = Session(model.SerializeToString()).ask(rows)
    torch.testing.assert_close(Graph(model)(rows), wanted, atol=1e-5, rtol=1e-5)


def test_operators_of_positive_numbers_and_of_maps_are_the_runtimes():
    model = built(
        [
            node("GlobalMaxPool", ["x"], "1"),
            node("Flatten", ["1"], "2"),
            node("Exp", ["2"], "3"),
            node("Log", ["3"], "4"),
            node("Reciprocal", ["3"], "5"),
            node("ReduceSum", ["5", "axes"], "6"),
            node("Add", ["4", "6"], "y"),
        ],
        (3, 4, 4),
        axes=np.array([1]),
    )
    rows = torch.tensor(drawn(5, 3, 4, 4))
    wanted = Session(model.SerializeToString()).ask(rows)
    torch.testing.assert_close(Graph(model)(rows), wanted, atol=1e-5, rtol=1e-5)


def test_operators_that_choose_and_pad_are_the_runtimes():
    model = built(
        [
            node("Slice", ["x", "from", "to", "axes", "by"], "1"),
            node("Pad", ["1", "ends", "fill"], "2"),
            node("Slice", ["2", "one", "last"], "3"),
            node("Gather", ["3", "at"], "4", axis=2),
            node("IsNaN", ["4"], "5"),
            node("Where", ["5", "fill", "4"], "6"),
            node("Equal", ["6", "fill"], "7"),
            node("Cast", ["7"], "8", to=1),
            node("Add", ["6", "8"], "9"),
            node("Flatten", ["9"], "y"),
        ],
        (3, 9),
        **{"from": np.array([1, -8])}, to=np.array([3, 2**62]), axes=np.array([1, 2]),
        by=np.array([1, 2]), ends=np.array([0, 1, 0, 0, 0, 2]), fill=np.float32(0.5),
        one=np.array([0]), last=np.array([-1]), at=np.array([0, -1, 2]),
    )  # fmt: skip
    rows = torch.tensor(drawn(4, 3, 9))
    rows[0, 1, 1] = torch.nan
    wanted = Session(model.SerializeToString()).ask(rows)
    torch.testing.assert_close(Graph(model)(rows), wanted)
    assert wanted.isfinite().all()


@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("started", [False, True])
def test_a_recurrent_layer_is_the_runtimes_and_a_gradient_leads_back_to_its_first_step(
    way, late, started
):
    ways = 2 if way == "bidirectional" else 1
    given = ["t", "w", "r", "b", "", "h"] if started else ["t", "w", "r", "b"]
    told = {"hidden_size": 4, "direction": way, "linear_before_reset": late}
    model = built(
        [
            node("Transpose", ["x"], "t", perm=[1, 0, 2]),
            node("GRU", given, "s", **told),
            node("Transpose", ["s"], "n", perm=[2, 0, 1, 3]),
            node("Flatten", ["n"], "y"),
        ],
        (6, 3),
        w=drawn(ways, 12, 3), r=drawn(ways, 12, 4), b=drawn(ways, 24),
        **({"h": np.zeros((ways, 5, 4), np.float32) + 0.3} if started else {}),
    )  # fmt: skip
    rows = torch.tensor(drawn(5, 6, 3)).requires_grad_(True)
    made = Graph(model)(rows)
    wanted = Session(model.SerializeToString()).ask(rows.detach())
    torch.testing.assert_close(made.detach(), wanted, atol=1e-5, rtol=1e-5)
    [slope] = torch.autograd.grad(made.sum(), rows)
    assert (slope[:, 0] != 0).any(dim=1).all()


def test_a_second_output_that_is_used_is_named():
    model = built(
        [
            helper.make_node("GRU", ["x", "w", "r"], ["all", "last"], hidden_size=4),
            node("Squeeze", ["last", "way"], "y"),
        ],
        (5, 3),
        w=drawn(1, 12, 3), r=drawn(1, 12, 4), way=np.array([0]),
    )  # fmt: skip
    with pytest.raises(SourceError, match="second output of its operator GRU"):
        Graph(model)


def test_an_operator_without_a_gradient_is_named():
    assert "Relu" in OPERATORS
    with pytest.raises(SourceError, match="Round"):
        Graph(built([node("Round", ["x"], "y")], (3,)))


def test_a_form_that_is_not_known_is_named():
    odd = built(
        [node("MaxPool", ["x"], "y", kernel_shape=[2, 2], auto_pad="SAME_UPPER")], (1, 4, 4)
    )
    with pytest.raises(SourceError, match="SAME_UPPER"):
        Graph(odd)(torch.rand(1, 1, 4, 4))


def test_a_models_columns_by_name_are_the_columns_of_rows():
    layers = [node("Gemm", ["x", "w"], "1"), node("Relu", ["1"], "y")]
    plain = built(layers, (3,), w=drawn(3, 2))
    schema = Schema("table", (3,), ("no", "yes"), tuple(Feature(name) for name in "abc"))
    by_name, rows = with_columns(plain, schema), torch.tensor(drawn(4, 3))
    torch.testing.assert_close(Graph(by_name)(rows), Graph(plain)(rows))
    torch.testing.assert_close(Graph(by_name)(rows), Session(by_name.SerializeToString()).ask(rows))
