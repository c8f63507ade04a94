import torch

from stillhouse.architectures.mlp import MLP
from stillhouse.models.macs import macs


def test_any_row_is_flattened_into_logits():
    for shape in ((7,), (5, 3), (2, 8, 8)):
        assert MLP(width=4, depth=3).build(shape, 5)(torch.rand(6, *shape)).shape == (6, 5)


def test_the_default_student_has_the_size_it_should():
    net = MLP(width=32, depth=2).build((1, 8, 8), 10)
    assert (
        sum(weight.numel() for weight in net.parameters())
        == 64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10
    )
    assert macs(net, (1, 8, 8)) == 64 * 32 + 32 * 32 + 32 * 10


def test_taps_have_names():
    assert [name for name, _ in MLP(depth=2, dropout=0.1).build((3,), 2).named_children()] == [
        "flatten", "hidden1", "relu1", "dropout1", "hidden2", "relu2", "dropout2", "logits",
    ]  # fmt: skip
