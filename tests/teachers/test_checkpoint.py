import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from stillhouse import config
from stillhouse.architectures.resnet import ResNet
from stillhouse.errors import PluginNotFound, SettingsError, SourceError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.checkpoint import Checkpoint
from stillhouse.teachers.fit import Fit
from stillhouse.teachers.teacher import Lesson
from stillhouse.workspace import dump_tensors

SPEC = {"name": "resnet", "depth": 8, "width": 4}
SCALE = {"mean": [0.3], "std": [0.4]}


def net(classes: int = 10, channels: int = 1) -> torch.nn.Module:
    torch.manual_seed(1)
    made = ResNet(depth=8, width=4).build((channels, 8, 8), classes)
    made(torch.rand(16, channels, 8, 8))  # moves the statistics of batch norm
    return made.eval()


def make(**changes: Any) -> Checkpoint:
    made: Checkpoint = config.plugin(
        "teachers",
        {"name": "checkpoint", "path": "t.safetensors", "architecture": SPEC, **SCALE, **changes},
        where="teacher",
    )
    return made


def answers(
    given: Lesson, weights: dict[str, torch.Tensor] | bytes, **changes: Any
) -> torch.Tensor:
    (given.root / "t.safetensors").write_bytes(
        weights if isinstance(weights, bytes) else dump_tensors(weights)
    )
    return ask(make(**changes).recall(make(**changes).learn(given), given.train.schema), given.val)


def test_a_net_answers_behind_its_own_normalisation(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    wanted = net()((given.val.inputs - 0.3) / 0.4).detach()
    torch.testing.assert_close(answers(given, net().state_dict()), wanted)


def test_counters_of_batch_norm_may_be_missing(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    some = {
        name: tensor
        for name, tensor in net().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert torch.equal(answers(given, some), answers(given, net().state_dict()))


def test_classes_are_reordered_by_name_and_gradients_still_flow(
    lesson: Callable[[], Lesson],
) -> None:
    given = lesson()
    names = [str(k) for k in range(9, -1, -1)]
    torch.testing.assert_close(
        answers(given, net().state_dict(), classes=names),
        answers(given, net().state_dict()).flip(1),
    )
    oracle = make(classes=names).recall(make(classes=names).learn(given), given.train.schema)
    assert oracle.gives == {"logits", "features", "gradients"}
    assert oracle.module is not None
    rows = given.val.inputs[:4].clone().requires_grad_(True)
    oracle.module(rows).sum().backward()
    assert rows.grad is not None
    torch.testing.assert_close(oracle.module(given.val.inputs), ask(oracle, given.val))
    assert oracle.parameters == sum(weight.numel() for weight in net().parameters())


def test_a_classifier_of_ours_knows_its_normalisation(lesson: Callable[[], Lesson]) -> None:
    given = lesson()
    trained = Fit(architecture={"name": "mlp", "width": 8}, epochs=1)
    files = trained.learn(given)
    wanted = ask(trained.recall(files, given.train.schema), given.val)
    spec = {"architecture": {"name": "mlp", "width": 8}, "mean": [], "std": []}
    assert torch.equal(answers(given, files["teacher.safetensors"], **spec), wanted)
    with pytest.raises(SettingsError, match="holds its own normalisation"):
        answers(given, files["teacher.safetensors"], **{**spec, **SCALE})


def changed(**weights: torch.Tensor | None) -> dict[str, torch.Tensor]:
    found = {
        **net().state_dict(),
        **{name.replace("_", ".", 1): tensor for name, tensor in weights.items()},
    }
    return {name: tensor for name, tensor in found.items() if tensor is not None}


@pytest.mark.parametrize(
    ("weights", "changes", "said"),
    [
        (changed(linear_bias=None), {}, r"'linear\.bias' is missing"),
        (changed(head_bias=torch.zeros(3)), {}, r"'head\.bias' belongs to no layer"),
        (changed(linear_bias=torch.full((10,), torch.nan)), {}, r"'linear\.bias' is not finite"),
        (
            net(classes=7).state_dict(),
            {},
            r"'linear\.weight' has the shape \[7, 16\], the architecture's \[10, "
            r"16\].*Classes and channels",
        ),
        (net(channels=3).state_dict(), {}, r"'conv1\.weight' has the shape \[4, 3, 3, 3\]"),
        (
            net().state_dict(),
            {"architecture": {"name": "resnet", "depth": 14, "width": 4}},
            "is missing",
        ),
        (
            net().state_dict(),
            {"mean": [], "std": []},
            "a net alone, and 0 means are given for its 1 channels",
        ),
        (
            net().state_dict(),
            {"mean": [0.1] * 3, "std": [1.0] * 3},
            "3 means are given for its 1 channels",
        ),
        (
            net().state_dict(),
            {"classes": [str(k) for k in range(9)]},
            "knows 9 classes, the data have 10",
        ),
        (pickle.dumps({"linear.bias": [0]}), {}, "not safetensors but a pickle"),
        (b"PK\x03\x04 torch.save writes these", {}, "not safetensors but a pickle or a zip"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    lesson: Callable[[], Lesson], weights: Any, changes: dict[str, Any], said: str
) -> None:
    given = lesson()
    with pytest.raises(SourceError, match=said):
        answers(given, weights, **changes)
    answers(given, net().state_dict())


def test_a_missing_file_and_wrong_settings_are_refused(lesson: Callable[[], Lesson]) -> None:
    with pytest.raises(SourceError, match=r"no file 't\.safetensors'"):
        make().learn(lesson())
    with pytest.raises(SettingsError, match="no pairs, or a std is not above 0"):
        make(std=[0.0])
    with pytest.raises(SettingsError, match="no pairs"):
        make(std=[])
    with pytest.raises(PluginNotFound, match="Did you mean 'resnet'"):
        make(architecture={"name": "resnett"})
