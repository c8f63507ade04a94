import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from teachers.library import installed
from torch.nn import functional as F

from stillhouse.errors import SettingsError, SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Lesson
from stillhouse.teachers.torchvision import Torchvision, _make
from stillhouse.workspace import dump_tensors

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is not None, reason="the library itself is installed"
)


@pytest.fixture
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def weights(root: Path, classes: int = 10) -> torch.nn.Module:
    torch.manual_seed(0)
    net = _make("tiny", classes).eval()
    (root / "w.safetensors").write_bytes(dump_tensors(net.state_dict()))
    return net


@pytest.mark.usefixtures("library")
def test_a_net_by_name_answers_behind_its_own_resize_and_scaling(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    net = weights(given.root)
    names = given.train.classes[::-1]
    teacher = Torchvision(model="tiny", path="w.safetensors", size=16, classes=names)
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    large = F.interpolate(given.val.inputs, (16, 16), mode="bilinear", antialias=True)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        wanted = net((large.expand(-1, 3, -1, -1) - mean) / std).flip(1)
    torch.testing.assert_close(ask(oracle, given.val), wanted)
    assert oracle.gives == {"logits", "features", "gradients"}
    assert oracle.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.usefixtures("library")
def test_weights_of_another_net_and_unknown_names_are_refused(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    weights(given.root, classes=7)
    with pytest.raises(SourceError, match=r"the weights are another net's: .*head"):
        Torchvision(model="tiny", path="w.safetensors").learn(given)
    with pytest.raises(SettingsError, match=r"no net 'tinny'\. Did you mean 'tiny'"):
        Torchvision(model="tinny", path="w.safetensors").learn(given)
    with pytest.raises(SourceError, match=r"no file 'x\.safetensors'"):
        Torchvision(model="tiny", path="x.safetensors").learn(given)
    (given.root / "p.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(SourceError, match="not safetensors but a pickle"):
        Torchvision(model="tiny", path="p.safetensors").learn(given)
    weights(given.root)
    Torchvision(model="tiny", path="w.safetensors").learn(given)


def test_without_the_library_the_extra_that_brings_it_is_named(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    (given.root / "w.safetensors").write_bytes(dump_tensors({"w": torch.ones(1)}))
    with pytest.raises(
        SettingsError, match=r"'torchvision' cannot be imported.*stillhouse\[vision\]"
    ):
        Torchvision(model="tiny", path="w.safetensors").learn(given)


def test_scaling_that_is_not_of_three_channels_is_refused() -> None:
    with pytest.raises(SettingsError, match="looks at 3 channels"):
        Torchvision(model="tiny", path="w.safetensors", mean=(0.5,), std=(0.5,))
