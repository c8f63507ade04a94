import onnx
import torch

from stillhouse.architectures.build import build_classifier
from stillhouse.architectures.gru import GRU
from stillhouse.data.schema import Feature, Schema
from stillhouse.edge.exporters.onnx import Onnx
from stillhouse.edge.session import Session
from stillhouse.models.macs import macs
from stillhouse.models.normalize import Normalize
from stillhouse.models.taps import tapped


def test_the_last_state_decides() -> None:
    net = GRU(width=5, depth=2).build((7, 3), 4).eval()
    found = tapped(net, torch.rand(2, 7, 3), ("states", "last"))
    assert found.logits.shape == (2, 4)
    assert found.features["states"].shape == (2, 7, 5)
    torch.testing.assert_close(found.features["last"], found.features["states"][:, -1])


def test_both_ways_means_the_end_of_each_way() -> None:
    net = GRU(width=5, both_ways=True).build((7, 3), 4).eval()
    rows = torch.rand(2, 7, 3)
    _, last = net.states.gru(rows)
    torch.testing.assert_close(
        tapped(net, rows, ("last",)).features["last"], torch.cat([last[0], last[1]], dim=1)
    )


def test_arithmetic_of_the_gates_is_counted() -> None:
    net = GRU(width=5, depth=2).build((7, 3), 4)
    assert macs(net, (7, 3)) == 7 * 3 * (5 * (3 + 5) + 5 * (5 + 5)) + 5 * 4


def test_it_is_exported_as_one_operator_a_layer_whatever_the_length() -> None:
    schema = Schema("series", (300, 2), ("a", "b"), (Feature("x"), Feature("y")))
    model = build_classifier(
        {"name": "gru", "width": 4, "depth": 2}, schema, Normalize.empty(schema), 0, "student"
    ).eval()
    data = Onnx().export(model, schema)
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert kinds.count("GRU") == 2
    assert len(kinds) < 20
    rows = torch.rand(3, 300, 2)
    with torch.no_grad():
        torch.testing.assert_close(Session(data).logits(rows), model(rows), atol=1e-5, rtol=1e-4)
