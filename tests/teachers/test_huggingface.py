import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.errors import SourceError, UsageError
from stillhouse.teachers.ask import ask
from stillhouse.teachers.huggingface import HuggingFace, Pictures
from stillhouse.teachers.teacher import Lesson
from stillhouse.workspace import dump_tensors

SAID: dict[str, Any] = {
    "size": {"height": 16, "width": 16},
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.25, 0.2],
}
VIT: dict[str, Any] = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 16,
    "patch_size": 4,
    "num_channels": 3,
    "id2label": {str(k): str(9 - k) for k in range(10)},
}
needs = pytest.mark.skipif(
    find_spec("transformers") is None, reason="the extra `text` (transformers) is not installed"
)


def folder(place: Path, **changes: Any) -> Path:
    """A folder whose weights fit, as far as transformers is there to make them."""
    place = place / "vit"
    place.mkdir(exist_ok=True)
    weights = {"x": torch.zeros(1)}
    if find_spec("transformers") is not None:
        from transformers import ViTConfig, ViTForImageClassification

        plain = {key: value for key, value in VIT.items() if key not in ("model_type", "id2label")}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = ViTForImageClassification(ViTConfig(**plain, num_labels=10)).state_dict()
    (place / "config.json").write_text(json.dumps({**VIT, **changes}))
    (place / "preprocessor_config.json").write_text(json.dumps(SAID))
    (place / "model.safetensors").write_bytes(dump_tensors(weights))
    return place


@needs
def test_a_folder_answers_with_its_own_preparation_and_order_of_classes(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    from safetensors.torch import load_file
    from transformers import ViTConfig, ViTForImageClassification

    place, given = folder(tmp_path), lesson()
    teacher = HuggingFace(path=str(place))
    oracle = teacher.recall(teacher.learn(given), given.train.schema)
    plain = {key: value for key, value in VIT.items() if key not in ("model_type", "id2label")}
    net = ViTForImageClassification(ViTConfig(**plain, num_labels=10)).eval()
    net.load_state_dict(load_file(place / "model.safetensors"))
    images = torch.nn.functional.interpolate(
        given.val.inputs.expand(-1, 3, -1, -1), (16, 16), mode="bilinear", antialias=True
    )
    shape = (1, 3, 1, 1)
    images = (images - torch.tensor([0.5, 0.4, 0.3]).view(shape)) / torch.tensor(
        [0.5, 0.25, 0.2]
    ).view(shape)
    with torch.no_grad():
        wanted = net(pixel_values=images).logits.flip(1)
    torch.testing.assert_close(ask(oracle, given.val), wanted, rtol=1e-4, atol=1e-5)
    assert oracle.gives == {"logits", "features", "gradients"}


@needs
def test_weights_of_another_net_are_refused(lesson: Callable[[], Lesson], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="weights do not fit"):
        HuggingFace(path=str(folder(tmp_path, hidden_size=32))).learn(lesson())
    HuggingFace(path=str(folder(tmp_path))).learn(lesson())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "asks for 'auto_map'"),
        ({"trust_remote_code": True}, "asks for 'trust_remote_code'"),
        ({"quantization_config": {"load_in_4bit": True}}, "asks for 'quantization_config'"),
        ({"model_type": "llama"}, "model_type is 'llama'"),
    ],
)
def test_code_and_unknown_families_are_refused(
    lesson: Callable[[], Lesson], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        HuggingFace(path=str(folder(tmp_path, **changes))).learn(lesson())


def test_a_pickle_in_place_of_safetensors_is_named_and_not_read(
    lesson: Callable[[], Lesson], tmp_path: Path
) -> None:
    place = folder(tmp_path)
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(SourceError, match=r"pytorch_model.bin is a pickle and not read"):
        HuggingFace(path=str(place)).learn(lesson())
    (place / "pytorch_model.bin").unlink()
    (place / "model.safetensors").write_bytes(b"\x80\x04evil")
    with pytest.raises(SourceError, match="not safetensors but a pickle"):
        HuggingFace(path=str(place)).learn(lesson())


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
def test_without_the_extra_its_name_is_told(lesson: Callable[[], Lesson], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs transformers") as caught:
        HuggingFace(path=str(folder(tmp_path))).learn(lesson())
    assert "stillhouse[text]" in caught.value.fix


def test_images_are_prepared_as_the_folder_says() -> None:
    images = torch.rand(2, 3, 8, 12)
    cut = Pictures.of(
        {**SAID, "size": {"shortest_edge": 8}, "do_center_crop": True, "crop_size": 8}
    )(images)
    shape = (1, 3, 1, 1)
    mean, std = (
        torch.tensor([0.5, 0.4, 0.3]).view(shape),
        torch.tensor([0.5, 0.25, 0.2]).view(shape),
    )
    torch.testing.assert_close(cut, (images[:, :, :, 2:10] - mean) / std)
    assert Pictures.of({**SAID, "size": 6})(images).shape == (2, 3, 6, 6)
    raw = Pictures.of({"do_resize": False, "do_rescale": False, "do_normalize": False})
    torch.testing.assert_close(raw(images), images * 255)


@pytest.mark.parametrize(
    "change",
    [{"image_std": [0.0, 1.0, 1.0]}, {"image_mean": None}, {"size": {"height": 0, "width": 4}}],
)
def test_a_preparation_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="does not say how images are prepared"):
        Pictures.of({**SAID, **change})
    replace(Pictures.of(SAID), short=None)
