import pytest
import torch

from stillhouse import config
from stillhouse.architectures.resnet import ResNet
from stillhouse.errors import SettingsError
from stillhouse.models.macs import macs


@pytest.mark.parametrize(("depth", "weights"), [(8, 75290), (20, 269722), (56, 853018)])
def test_it_has_as_many_weights_as_the_paper_s_net(depth: int, weights: int) -> None:
    net = config.plugin("architectures", {"name": "resnet", "depth": depth}, where="x").build(
        (3, 32, 32), 10
    )
    assert sum(weight.numel() for weight in net.parameters()) == weights


def test_its_arithmetic_is_that_of_the_paper_s_net() -> None:
    assert round(macs(ResNet(depth=20).build((3, 32, 32), 10), (3, 32, 32)) / 1e6, 1) == 40.6


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 31), (1, 1, 1), (2, 3, 2)])
@pytest.mark.parametrize("width", [1, 3, 4])
def test_any_image_becomes_logits(shape: tuple[int, ...], width: int) -> None:
    assert ResNet(depth=8, width=width).build(shape, 5)(torch.rand(3, *shape)).shape == (3, 5)


def test_weights_are_named_as_in_the_usual_ports() -> None:
    names = list(ResNet(depth=8).build((3, 8, 8), 2).state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv1.weight",
        "layer3.0.bn2.bias",
        "linear.bias",
    } <= set(names)


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"student\.depth: must be 8, 14.*not 9"):
        config.check_spec("architectures", {"name": "resnet", "depth": 9}, where="student")
    config.check_spec("architectures", {"name": "resnet", "depth": 14}, where="student")
