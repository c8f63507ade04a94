import pytest
import torch
from edge.small import rows

from stillhouse.edge.session import CHUNK, Session
from stillhouse.errors import SourceError


def test_asking_in_chunks_of_256_by_hand_gives_the_same_bits(exported):
    session, inputs = Session(exported("image")), rows("image", 600)
    by_hand = torch.cat([session.ask(inputs[at : at + CHUNK]) for at in range(0, 600, 256)])
    assert torch.equal(session.logits(inputs), by_hand)


def test_external_data_are_refused_and_the_same_model_whole_is_not(exported):
    import onnx

    model = onnx.load_model_from_string(exported("table"))
    Session(model.SerializeToString())
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    with pytest.raises(SourceError, match=r"\.\./secret"):
        Session(model.SerializeToString(), where="student.onnx")


def test_a_pickle_is_refused():
    with pytest.raises(SourceError, match="pickle"):
        Session(b"\x80\x04K\x01.")
