import pytest
import torch
from edge.small import SCHEMAS, classifier, rows

from stillhouse import config
from stillhouse.edge.exporter import ExportFailed
from stillhouse.edge.exporters.onnx import Onnx
from stillhouse.edge.session import Session
from stillhouse.errors import SettingsError
from stillhouse.models import onnx_file

KINDS = ["image", "series", "table"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_answers_as_the_model_for_any_number_of_rows(exported, kind):
    session, model = Session(exported(kind)), classifier(kind)
    for count in (1, 2, 256, 257, 300):
        with torch.no_grad():
            torch.testing.assert_close(
                session.logits(rows(kind)[:count]), model(rows(kind)[:count]), rtol=1e-5, atol=1e-5
            )


def test_the_same_weights_give_the_same_bytes(exported):
    assert Onnx().export(classifier("table"), SCHEMAS["table"]) == exported("table")


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_whole_and_tells_nothing_of_the_machine(exported, kind):
    data = exported(kind)
    model = onnx_file.read(data, "student.onnx")
    columns = [feature.name for feature in SCHEMAS[kind].features]
    assert [i.name for i in model.graph.input] == (columns if kind == "table" else ["inputs"])
    assert [o.name for o in model.graph.output] == ["logits"]
    assert not model.metadata_props
    assert all(not node.metadata_props and not node.doc_string for node in model.graph.node)
    for word in (b"site-packages", b"/work", b"torch.nn", b".py"):
        assert word not in data


def test_the_opset_is_the_one_asked_for(exported):
    assert Session(exported("image")).opset == 20


def test_opsets_that_the_exporter_does_not_know_are_refused():
    assert config.build(Onnx, {"opset": 18}, where="x").opset == 18
    for bad in (17, 24, "20"):
        with pytest.raises(SettingsError):
            config.build(Onnx, {"opset": bad}, where="x")


def test_a_model_that_onnx_has_no_words_for_is_refused():
    class Strange(torch.nn.Module):
        def forward(self, inputs):
            return torch.special.bessel_j0(inputs)

    with pytest.raises(ExportFailed, match="cannot be written as ONNX"):
        Onnx().export(Strange(), SCHEMAS["table"])
