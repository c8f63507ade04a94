"""A teacher from a folder in Hugging Face's form: an image classifier, its weights as safetensors.

Neither `from_pretrained` nor any code of the folder is used: the configuration is read here, word
by word, and the weights by our own reader.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse import config
from stillhouse.architectures.build import parameters
from stillhouse.config import InputFile
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError, UsageError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.workspace import dump_json, parse_tensors

CONFIG, PICTURES, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
FORM = "form.json"
# What transformers builds from a configuration alone; code of others (`auto_map`) is never run.
KNOWN = {
    "convnext": "ConvNext",
    "convnextv2": "ConvNextV2",
    "deit": "DeiT",
    "dinov2": "Dinov2",
    "efficientnet": "EfficientNet",
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "mobilevit": "MobileViT",
    "regnet": "RegNet",
    "resnet": "ResNet",
    "swin": "Swin",
    "vit": "ViT",
}
CODE = ("auto_map", "custom_pipelines", "trust_remote_code", "quantization_config")
MOST_BYTES = 4_000_000_000
Json = dict[str, Any]


class HuggingFace(Teacher):
    """Reads an image classifier from a folder that somebody downloaded: `config.json`,
    `preprocessor_config.json`, `model.safetensors`; needs the extra `text` (transformers).

    Images are resized, cropped and normalised as the folder says; grey ones are shown in three
    equal channels. Methods may look at its features.

    Args:
        path: The folder.
        classes: Class names by column of its answers; empty: the names in `config.json` where those
            are the data's, else the data's order.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(self, *, path: InputFile, classes: tuple[str, ...] = ()) -> None:
        self.path, self.classes = path, classes

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        folder, schema = config.file_of(self.path, lesson.root), lesson.train.schema
        made = {name: _read(folder, name) for name in (CONFIG, PICTURES, WEIGHTS)}
        names = self.classes or _names(_json(made[CONFIG], CONFIG), schema)
        columns = order(names, schema, where=f"{folder.name}/{CONFIG}")
        made[FORM] = dump_json({"columns": columns})
        self.recall(made, schema)
        return made

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        about = _json(files[CONFIG], CONFIG)
        net = _net(about, parse_tensors(files[WEIGHTS], where=WEIGHTS))
        pictures = Pictures.of(_json(files[PICTURES], PICTURES))
        columns = json.loads(files[FORM])["columns"]
        model = Classified(net, pictures, int(about.get("num_channels", 3)), columns)
        with torch.no_grad():
            found = model.answers(torch.zeros(1, *schema.shape))
        require_count(found.shape[1], schema, where=CONFIG)
        return Seeing(model)


@dataclass(frozen=True)
class Pictures:
    """How the teacher wants its images.

    Attributes:
        short: Length of the shorter side; None: as it is.
        size: (height, width) to stretch to, or to cut from the middle; None: all of it.
        cut: Whether to cut rather than to stretch.
        factor: Pixels in [0, 1] times this.
        mean: Subtracted then, a channel.
        std: Divided by then.
    """

    short: int | None
    size: tuple[int, int] | None
    cut: bool
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, held: Json) -> "Pictures":
        """Return what a preprocessor_config.json says.

        Raises:
            SourceError: A number in it is none.
        """
        try:
            size = held.get("size") if held.get("do_resize", True) else None
            short = size.get("shortest_edge") if isinstance(size, dict) else None
            size = {"height": size, "width": size} if isinstance(size, int) else size
            cut = bool(held.get("do_center_crop")) and bool(held.get("crop_size"))
            crop = held.get("crop_size")
            crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
            wanted = crop if cut else size
            sides = None
            if isinstance(wanted, dict) and "height" in wanted:
                sides = (int(wanted["height"]), int(wanted["width"]))
            scale = (
                float(held.get("rescale_factor", 1 / 255)) if held.get("do_rescale", True) else 1
            )
            plain = not held.get("do_normalize", True)
            mean = () if plain else tuple(float(each) for each in held["image_mean"])
            std = () if plain else tuple(float(each) for each in held["image_std"])
            if any(each <= 0 for each in std) or (sides and not all(0 < s <= 4096 for s in sides)):
                raise ValueError("a size or a deviation is out of range")
            return cls(None if short is None else int(short), sides, cut, 255 * scale, mean, std)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"it does not say how images are prepared: {error}.",
                where=PICTURES,
                fix="It needs size, image_mean and image_std.",
            ) from None

    def __call__(self, images: Tensor) -> Tensor:
        """Return images [B, C, H, W] in [0, 1] as the teacher wants them."""
        height, width = images.shape[2:]
        if self.short is not None and min(height, width) != self.short:
            ratio = self.short / min(height, width)
            images = _resized(images, (round(height * ratio), round(width * ratio)))
        if self.size is not None and self.cut:
            images = _middle(images, self.size)
        elif self.size is not None and tuple(images.shape[2:]) != self.size:
            images = _resized(images, self.size)
        images = images * self.factor
        if not self.mean:
            return images
        return (images - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(
            -1, 1, 1
        )


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _middle(images: Tensor, size: tuple[int, int]) -> Tensor:
    if min(images.shape[2] - size[0], images.shape[3] - size[1]) < 0:
        return _resized(images, size)
    top, left = (images.shape[2] - size[0]) // 2, (images.shape[3] - size[1]) // 2
    return images[:, :, top : top + size[0], left : left + size[1]]


class Classified(nn.Module):
    """The net behind its preparation, its classes in the data's order."""

    def __init__(
        self, net: nn.Module, pictures: Pictures, channels: int, columns: list[int]
    ) -> None:
        super().__init__()
        self.net, self._pictures, self._channels, self._columns = net, pictures, channels, columns

    def answers(self, inputs: Tensor) -> Tensor:
        """Return its own logits of images in [0, 1]."""
        if inputs.shape[1] == 1 and self._channels > 1:
            inputs = inputs.expand(-1, self._channels, -1, -1)
        if inputs.shape[1] != self._channels:
            raise SourceError(
                f"it takes {self._channels} channels, the images have {inputs.shape[1]}.",
                where=CONFIG,
                fix="Read them in its colours (the source's channels).",
            )
        return cast(Tensor, self.net(pixel_values=self._pictures(inputs)).logits)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of images [B, channels, height, width] in [0, 1]."""
        return self.answers(inputs)[:, self._columns]


class Seeing(Oracle):
    """A model of transformers that answers; it gives features and gradients too."""

    gives = frozenset({"logits", "features", "gradients"})
    moves = True

    def __init__(self, model: Classified) -> None:
        self.module = model.eval().requires_grad_(False)
        self.parameters = parameters(model)
        self._model = model

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return logits_of(self._model, inputs)


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        pickled = sorted(each.name for each in folder.glob("*.bin")) if folder.is_dir() else []
        beside = f" ({pickled[0]} is a pickle and not read)" if pickled and name == WEIGHTS else ""
        raise SourceError(
            f"there is no '{name}'{beside}.",
            where=str(folder),
            fix="The folder needs config.json, preprocessor_config.json and model.safetensors.",
        )
    if path.stat().st_size > MOST_BYTES:
        raise SourceError(
            f"'{name}' has {path.stat().st_size:,} bytes.", where=str(folder), fix="Too large."
        )
    return path.read_bytes()


def _json(data: bytes, where: str) -> Json:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SourceError("it is no JSON object.", where=where, fix="Download it again.")
    for key in CODE:
        if found.get(key):
            raise SourceError(
                f"it asks for '{key}': code or a form that is not read here.",
                where=where,
                fix="Bring a plain model, or export it to ONNX.",
            )
    return found


def _names(about: Json, schema: Schema) -> tuple[str, ...]:
    """Return its class names by column, if they are the data's in whatever order."""
    told = about.get("id2label")
    if not isinstance(told, dict):
        return ()
    names = tuple(str(told[key]) for key in sorted(told, key=lambda key: (len(key), key)))
    return names if sorted(names) == sorted(schema.classes) else ()


def _net(about: Json, weights: Mapping[str, Tensor]) -> nn.Module:
    family = KNOWN.get(str(about.get("model_type")))
    if family is None:
        raise SourceError(
            f"its model_type is {about.get('model_type')!r}.",
            where=CONFIG,
            fix=f"Known: {', '.join(sorted(KNOWN))}; others by ONNX.",
        )
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise UsageError(
            f"the teacher 'huggingface' needs transformers ({error}).",
            where="teacher.name",
            fix="Install it: pip install 'stillhouse[text]'.",
        ) from None
    settings = getattr(transformers, f"{family}Config")
    made = settings(**_plain(about, set(settings().to_dict())))
    made._attn_implementation = "eager"
    try:
        net: nn.Module = getattr(transformers, f"{family}ForImageClassification")(made)
        net.load_state_dict(dict(weights), strict=True)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise SourceError(
            f"the weights do not fit the configuration: {str(error).splitlines()[-1][:200]}",
            where=WEIGHTS,
            fix="Take both files from the same download.",
        ) from None
    return net.eval()


def _plain(about: Json, known: set[str]) -> Json:
    """Return the settings that are numbers, words and lists of them; names of code and kernels are
    left out.
    """
    left_out = {"architectures", "transformers_version", "dtype", "torch_dtype", "model_type"}
    kept = {
        key: value
        for key, value in about.items()
        if key in known - left_out
        and not key.startswith("_")
        and isinstance(value, str | int | float | bool | list)
    }
    labels = about.get("id2label")
    return {**kept, "num_labels": len(labels)} if isinstance(labels, dict) else kept
