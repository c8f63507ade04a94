import pytest
import torch

from stillhouse import plugins
from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import PluginNotFound, SettingsError, UsageError
from stillhouse.models.normalize import Normalize

TABLE = Schema("table", (3,), ("a", "b"), tuple(Feature(f"x{i}") for i in range(3)))


def built(spec: dict[str, object], schema: Schema = TABLE, seed: int = 0):
    return build_classifier(spec, schema, Normalize.empty(schema), seed, "distill.student")


def test_the_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one = built({"name": "mlp"})
    torch.manual_seed(6)
    before = torch.get_rng_state()
    two, other = built({"name": "mlp"}), built({"name": "mlp"}, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.net.hidden1.weight, other.net.hidden1.weight)


def test_parameters_are_counted():
    assert parameters(built({"name": "mlp", "width": 5, "depth": 1})) == (3 * 5 + 5) + (5 * 2 + 2)


def test_each_model_has_its_own_copy_of_the_statistics():
    normalize = Normalize.fit(torch.rand(9, 3), TABLE)
    model = build_classifier({"name": "mlp"}, TABLE, normalize, 0, "distill.student")
    model.normalize.mean.zero_()
    assert normalize.mean.abs().sum() > 0


def test_rows_that_the_architecture_does_not_take_are_refused():
    with pytest.raises(UsageError, match="'convnet' takes image or series, not table data"):
        built({"name": "convnet"})


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ({"name": "mlpp"}, PluginNotFound, "Did you mean 'mlp'"),
        ({"name": "mlp", "widht": 3}, SettingsError, "Did you mean 'width'"),
        (
            {"name": "mlp", "width": 0},
            SettingsError,
            r"distill\.student\.width: must be greater than or equal to 1",
        ),
        ({"name": "mlp", "dropout": 1.0}, SettingsError, "less than 1"),
        ({"name": "mlp", "depth": 1.5}, SettingsError, "valid integer"),
    ],
)
def test_wrong_settings_are_refused(spec: dict[str, object], error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        built(spec)


MINE = """
import random
import numpy as np
from torch import nn
from stillhouse.architectures.architecture import Architecture
class WrongShape(Architecture):
    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Linear(shape[0], classes + 1)
class WrongInput(Architecture):
    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Linear(shape[0] + 1, classes)
class Drawing(Architecture):
    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        net = nn.Linear(shape[0], classes)
        nn.init.constant_(net.weight, np.random.rand() + random.random())
        return net
class RightShape(Architecture):
    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Linear(shape[0], classes)
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong_shape", r"answers \[2, 3\] for two rows, not \[2, 2\]"),
        ("wrong_input", "cannot take rows of shape"),
    ],
)
def test_a_net_of_another_shape_is_refused(tmp_path, name: str, said: str):
    (tmp_path / "mine.py").write_text(MINE)
    plugins.use(["mine.py"], tmp_path)
    try:
        built({"name": "right_shape"})
        with pytest.raises(UsageError, match=said):
            built({"name": name})
    finally:
        plugins.use([], tmp_path)


def test_weights_that_are_drawn_from_pythons_and_numpys_generators_depend_on_the_seed_too(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    plugins.use(["mine.py"], tmp_path)
    try:
        one, two = built({"name": "drawing"}), built({"name": "drawing"})
        other = built({"name": "drawing"}, seed=1)
    finally:
        plugins.use([], tmp_path)
    assert torch.equal(one.net.weight, two.net.weight)
    assert not torch.equal(one.net.weight, other.net.weight)
