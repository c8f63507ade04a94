import pytest
import torch
from torch import Tensor, nn

from stillhouse.architectures.build import build_classifier
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import UsageError
from stillhouse.models.normalize import Normalize
from stillhouse.models.stages import evaluating, find
from stillhouse.models.taps import tapped

IMAGE = Schema("image", (1, 8, 8), ("a", "b", "c"), (Feature("ink"),))
SERIES = Schema("series", (12, 2), ("a", "b", "c"), (Feature("x"), Feature("y")))
TABLE = Schema("table", (4,), ("a", "b", "c"), tuple(Feature(f"x{i}") for i in range(4)))
ALL = ("early", "middle", "late", "penultimate")


def stages(spec: dict[str, object], schema: Schema) -> tuple[str, ...]:
    model = build_classifier(spec, schema, Normalize.empty(schema), 0, "student")
    found = find(model, torch.rand(2, *schema.shape), ALL)
    rows = torch.rand(3, *schema.shape)
    features = tapped(model.eval(), rows, found.values()).features
    torch.testing.assert_close(
        list(model.net.children())[-1](features[found["penultimate"]]), model(rows)
    )
    return tuple(found[name] for name in ALL)


@pytest.mark.parametrize(
    ("spec", "schema", "wanted"),
    [
        (
            {"name": "mlp", "width": 8, "depth": 1},
            IMAGE,
            ("net.relu1", "net.relu1", "net.relu1", "net.relu1"),
        ),
        (
            {"name": "mlp", "width": 8, "depth": 2, "dropout": 0.5},
            TABLE,
            ("net.dropout1", "net.dropout2", "net.dropout2", "net.dropout2"),
        ),
        (
            {"name": "mlp", "width": 8, "depth": 6},
            TABLE,
            ("net.relu2", "net.relu4", "net.relu6", "net.relu6"),
        ),
        (
            {"name": "convnet", "width": 4, "depth": 3},
            IMAGE,
            ("net.stage1", "net.stage2", "net.stage3", "net.pooled"),
        ),
        (
            {"name": "resnet", "depth": 8},
            IMAGE,
            ("net.layer1", "net.layer2", "net.layer3", "net.pooled"),
        ),
        ({"name": "gru"}, SERIES, ("net.states", "net.states", "net.states", "net.last")),
        ({"name": "tcn"}, SERIES, ("net.block2", "net.block3", "net.block4", "net.pooled")),
        (
            {"name": "tiny_transformer"},
            IMAGE,
            ("net.tokens", "net.block1", "net.norm", "net.pooled"),
        ),
        ({"name": "table_mlp"}, TABLE, ("net.stem", "net.block1", "net.relu", "net.relu")),
        (
            {"name": "convnet", "width": 4, "depth": 3},
            SERIES,
            ("net.stage1", "net.stage2", "net.stage3", "net.pooled"),
        ),
    ],
)
def test_stages_are_found_and_the_last_layer_is_given_the_penultimate(
    spec: dict[str, object], schema: Schema, wanted: tuple[str, ...]
):
    assert stages(spec, schema) == wanted


class Own(nn.Module):
    """A model of somebody else: a backbone, functional activations, a head that is not last in the
    list.
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.backbone = nn.ModuleDict({"one": nn.Linear(4, 5), "two": nn.Linear(5, 6)})
        self.unused = nn.Linear(1, 1)
        self.again = nn.ReLU()

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.again(self.backbone["one"](rows))
        return self.head(self.again(self.backbone["two"](hidden)))


def test_a_module_that_runs_twice_is_no_stage_as_nobody_could_say_which_run():
    assert find(Own(), torch.rand(2, 4), ("penultimate",)) == {"penultimate": "backbone.two"}


def test_a_backbone_is_opened():
    model = nn.Sequential(
        nn.Sequential(
            nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 7), nn.ReLU()
        ),
        nn.Linear(7, 3),
    )
    assert find(model, torch.rand(2, 4), ALL) == {
        "early": "0.1",
        "middle": "0.3",
        "late": "0.5",
        "penultimate": "0",
    }


def test_a_path_stands_for_itself_and_may_leave_out_the_net():
    model = build_classifier(
        {"name": "mlp", "width": 8, "depth": 1}, TABLE, Normalize.empty(TABLE), 0, "student"
    )
    assert find(model, torch.rand(2, 4), ("net.hidden1", "hidden1")) == {
        "net.hidden1": "net.hidden1",
        "hidden1": "net.hidden1",
    }


def test_what_does_not_exist_is_refused_with_what_does():
    model = build_classifier(
        {"name": "mlp", "width": 8, "depth": 1}, TABLE, Normalize.empty(TABLE), 0, "student"
    )
    with pytest.raises(UsageError, match=r"no tap 'net\.hiden1'.*Did you mean 'net\.hidden1'"):
        find(model, torch.rand(2, 4), ("net.hiden1",))
    with pytest.raises(UsageError, match="no stage 'late': nothing lies before its last layer"):
        find(nn.Sequential(nn.Linear(4, 3)), torch.rand(2, 4), ("late",))


def test_looking_leaves_every_module_in_its_mode_and_its_running_means_alone():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)).train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    find(model, torch.rand(2, 4), ALL)
    assert [module.training for module in model] == [False, True, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with evaluating(model):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
