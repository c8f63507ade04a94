import onnx
import pytest
import torch
from edge.small import rows

from stillhouse.edge.quantize import quantize
from stillhouse.edge.session import Session
from stillhouse.models import onnx_file


@pytest.mark.parametrize("kind", ["image", "series", "table"])
def test_int8_agrees_with_float32_on_nearly_all_rows(exported, kind):
    small = quantize(exported(kind), rows(kind)[:128])
    assert small.reason == ""
    expected, found = (
        Session(exported(kind)).logits(rows(kind)),
        Session(small.data).logits(rows(kind)),
    )
    assert (expected.argmax(dim=1) == found.argmax(dim=1)).double().mean() >= 0.95
    assert (expected - found).abs().max() > 0


def test_the_same_model_and_rows_give_the_same_bytes(exported):
    first, again = (quantize(exported("table"), rows("table")[:64]).data for _ in range(2))
    assert first == again


def test_activations_are_u8_and_weights_s8_a_channel(exported):
    model = onnx_file.read(quantize(exported("series"), rows("series")).data, "x")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = [
        t for t in constants.values() if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 2
    ]
    assert sorted(tuple(t.dims) for t in weights) == [(3, 16), (16, 24)]
    scales = [
        constants[node.input[1]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in {w.name for w in weights}
    ]
    assert sorted(list(scale.dims) for scale in scales) == [[3], [16]]
    zeros = [
        constants[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"
    ]
    assert zeros
    assert all(zero.data_type == onnx.TensorProto.UINT8 for zero in zeros)


def test_the_file_lists_only_operator_sets_that_it_uses(exported):
    assert [
        entry.domain
        for entry in onnx_file.read(
            quantize(exported("table"), rows("table")).data, "x"
        ).opset_import
    ] == ["", "ai.onnx.ml"]  # its category is looked up inside


def test_a_model_without_products_and_calibration_without_rows_say_why_not(exported):
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["inputs"], ["logits"])],
        "g",
        [onnx.helper.make_tensor_value_info("inputs", onnx.TensorProto.FLOAT, [None, 3])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [None, 3])],
    )
    data = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()
    assert "none of Conv, MatMul, Gemm" in quantize(data, torch.rand(4, 3)).reason
    empty = quantize(exported("table"), rows("table")[:0])
    assert (empty.data, empty.reason) == (b"", "there are no rows to calibrate with.")


def test_what_the_quantiser_refuses_is_told_not_raised(exported):
    refused = quantize(exported("table"), torch.rand(4, 99))
    assert refused.data == b""
    assert "quantiser refused" in refused.reason
