from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures.nets import IMAGE

from stillhouse import config, plugins
from stillhouse.architectures.build import build_classifier
from stillhouse.errors import SettingsError, UsageError
from stillhouse.models.normalize import Normalize
from stillhouse.pipeline.closure import plugin_files

MINE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, width=6):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3)
        self.head = nn.Linear(width, num_classes)
    def forward(self, x):
        return self.head(self.stem(x).mean((2, 3)))

def wide(shape, classes):
    return Net(shape[0], classes, width=20)

class Hungry(Net):
    def __init__(self, in_channels, num_classes, hunger):
        super().__init__(in_channels, num_classes, hunger)

class Plain:
    pass

def nothing(classes):
    return {"classes": classes}

class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no luck")

class Loose(nn.Module):
    def forward(self, x):
        return x

ready = nn.Linear(3, 3)
"""


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "my_models.py").write_text(MINE)
    package = tmp_path / "ours" / "nets"
    package.mkdir(parents=True)
    (tmp_path / "ours" / "__init__.py").touch()
    (package / "__init__.py").write_text("from torch import nn\nclass Deep(nn.Module):\n    pass\n")
    plugins.use([], tmp_path)
    yield
    plugins.use([], tmp_path)


def spec(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": "module", "module": f"my_models:{name}", "settings": settings}


def built(given: dict[str, Any], seed: int = 0) -> Any:
    return build_classifier(given, IMAGE, Normalize.empty(IMAGE), seed, "distill.student")


def test_a_net_of_one_s_own_is_built_by_its_own_parameters() -> None:
    model = built(spec("Net"))
    assert model.net.stem.in_channels == 3
    assert model(torch.rand(2, *IMAGE.shape)).shape == (2, 3)
    assert built(spec("Net", width=9)).net.stem.out_channels == 9
    assert built(spec("wide")).net.stem.out_channels == 20


def test_its_weights_follow_our_seed() -> None:
    one, two, other = (built(spec("Net"), seed).net.stem.weight for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (spec("Plain"), "'my_models:Plain' is no nn.Module"),
        (spec("ready"), "is a Linear, not a class"),
        (spec("Nett"), "'my_models' has no 'Nett'. Did you mean 'Net'"),
        (spec("Net", widht=3), "has no parameter 'widht'. Did you mean 'width'"),
        (spec("Hungry"), "needs 'hunger', which nobody gives"),
        ({"name": "module", "module": "Net"}, "names no class of a module"),
        ({"name": "module", "module": "nowhere:Net"}, "'nowhere' could not be imported"),
        ({"name": "module"}, r"student\.module: this setting is required"),
    ],
)
def test_what_is_no_net_is_refused_at_load(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        config.check_spec("architectures", given, where="distill.student")
    assert said.replace("\\", "") in str(caught.value)
    assert caught.value.exit_code == 2
    config.check_spec("architectures", spec("Net", width=3), where="distill.student")
    config.check_spec("architectures", spec("Hungry", hunger=3), where="distill.student")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (spec("nothing"), "is no nn.Module: it returns a dict"),
        (spec("Broken"), "cannot be made: RuntimeError: no luck"),
        (spec("Loose"), "answers"),
    ],
)
def test_what_turns_out_to_be_no_net_is_refused_when_built(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        built(given)
    built(spec("Net"))


def test_its_file_is_part_of_what_makes_a_step_stale(tmp_path: Path) -> None:
    for step, section in (("distill", "distill"), ("export", "distill"), ("teacher", "teacher")):
        named = plugin_files(step, {section: {"student": spec("Net")}})
        assert tmp_path / "my_models.py" in named
        assert tmp_path / "my_models.py" not in plugin_files(step, {section: {"student": {}}})
    deep = plugin_files("distill", {"distill": {"student": {"module": "ours.nets:Deep"}}})
    assert tmp_path / "ours" / "nets" / "__init__.py" in deep


def test_a_class_of_a_package_is_found_too() -> None:
    config.check_spec(
        "architectures", {"name": "module", "module": "ours.nets:Deep"}, where="distill.student"
    )
