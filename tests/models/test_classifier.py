import pytest
import torch
from torch import nn

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import UsageError
from stillhouse.models.access import accept, require
from stillhouse.models.classifier import Classifier
from stillhouse.models.macs import macs
from stillhouse.models.normalize import Normalize
from stillhouse.models.taps import tapped, taps_of

SCHEMA = Schema("image", (1, 4, 4), ("a", "b", "c"), (Feature("ink"),))


def model() -> Classifier:
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    return Classifier(Normalize.fit(torch.rand(9, 1, 4, 4), SCHEMA), net)


def test_logits_come_from_rows_in_data_space():
    made, rows = model(), torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(made(rows), made.net(made.normalize(rows)))
    assert made.outputs(rows).logits.shape == (5, 3)
    assert not made.outputs(rows).features


def test_features_are_what_the_tapped_module_returned():
    made, rows = model(), torch.rand(5, 1, 4, 4)
    found = made.outputs(rows, ("net.1", "net.2"))
    torch.testing.assert_close(
        found.features["net.1"], torch.relu(made.net[0](made.normalize(rows)))
    )
    torch.testing.assert_close(found.features["net.2"], found.features["net.1"].flatten(1))
    torch.testing.assert_close(found.logits, made(rows))
    assert found.features["net.1"].requires_grad


def test_no_hook_is_left_behind():
    made = model()
    made.outputs(torch.rand(2, 1, 4, 4), ("net.1",))
    assert all(not module._forward_hooks for module in made.modules())


def test_an_unknown_tap_is_refused_and_the_known_are_named():
    with pytest.raises(UsageError, match=r"no tap 'net\.9'.*Known: .*net\.0.*net\.3"):
        model().outputs(torch.rand(2, 1, 4, 4), ("net.9",))


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair, self.idle = Pair(), nn.Linear(1, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.pair(rows)[0]


class Pair(nn.Module):
    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return rows, rows


@pytest.mark.parametrize(
    ("tap", "said"), [("pair", "returns tuple, not a tensor"), ("idle", "is not run")]
)
def test_a_tap_without_a_tensor_is_refused(tap: str, said: str):
    with pytest.raises(UsageError, match=said):
        tapped(Odd(), torch.zeros(1, 1), (tap,))


def test_taps_are_module_paths():
    assert taps_of(model()) == ("normalize", "net", "net.0", "net.1", "net.2", "net.3")


def test_macs_are_counted_in_convolutions_and_linear_layers():
    made = model()
    assert macs(made, (1, 4, 4)) == 9 * 1 * 2 * 16 + 32 * 3
    assert made.training
    assert macs(nn.Conv2d(4, 4, 3, groups=2), (4, 5, 5)) == 2 * 9 * 4 * 9


def test_what_a_giver_lacks_is_named():
    require("kd", {"logits"}, "a teacher", {"logits", "features"})
    with pytest.raises(
        UsageError, match="'fitnet' needs features and gradients, which 'a black box' does not give"
    ):
        require("fitnet", {"gradients", "features"}, "a black box", {"logits"})


def test_another_kind_of_rows_is_refused_by_name():
    accept("mlp", {"table", "image"}, "table")
    with pytest.raises(UsageError, match="'convnet' takes image or series, not table data"):
        accept("convnet", {"series", "image"}, "table")
