import pytest
import torch
from architectures.nets import NETS, built, rows

from stillhouse.architectures.build import parameters
from stillhouse.edge.exporters.onnx import Onnx
from stillhouse.edge.session import Session
from stillhouse.models import onnx_file
from stillhouse.models.macs import macs
from stillhouse.models.onnx_graph import Graph
from stillhouse.workspace import dump_tensors, parse_tensors

EACH = pytest.mark.parametrize("name", NETS)


@EACH
def test_the_exported_net_answers_alike_for_any_number_of_rows(name: str) -> None:
    model, inputs = built(name).eval(), rows(NETS[name][1])
    data = Onnx().export(model, NETS[name][1])
    session, twin = Session(data), Graph(onnx_file.read(data, name))  # which gradients are asked of
    for count in (1, 2, 40):
        with torch.no_grad():
            told = model(inputs[:count])
            assert (session.logits(inputs[:count]) - told).abs().max() < 1e-5
            assert (twin(inputs[:count]) - told).abs().max() < 1e-4


@EACH
def test_the_weights_depend_on_the_seed_alone(name: str) -> None:
    one, two, other = (dump_tensors(built(name, seed).state_dict()) for seed in (0, 0, 1))
    assert one == two != other


@EACH
def test_a_state_dict_brings_the_net_back(name: str) -> None:
    model, again, inputs = built(name), built(name, seed=1), rows(NETS[name][1])
    model(inputs)  # moves the statistics of batch norm
    again.load_state_dict(parse_tensors(dump_tensors(model.state_dict()), where="x"))
    torch.testing.assert_close(again.eval()(inputs), model.eval()(inputs), rtol=0, atol=0)


@EACH
def test_every_weight_learns(name: str) -> None:
    model, inputs = built(name), rows(NETS[name][1])
    torch.nn.functional.cross_entropy(model(inputs), torch.arange(len(inputs)) % 3).backward()
    assert [
        key
        for key, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.abs().sum() > 0
    ] == []


@EACH
def test_a_row_is_answered_the_same_alone_and_in_company(name: str) -> None:
    model, inputs = built(name).eval(), rows(NETS[name][1])
    torch.testing.assert_close(model(inputs)[3:4], model(inputs[3:4]))


@EACH
def test_arithmetic_is_counted(name: str) -> None:
    model = built(name)
    assert macs(model, NETS[name][1].shape) > parameters(model) / 3
