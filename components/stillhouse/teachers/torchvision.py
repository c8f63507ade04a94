"""A net of torchvision's by name, with weights that you have (extra `vision`)."""

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from stillhouse.config import Count, InputFile, Positive
from stillhouse.data.schema import Schema
from stillhouse.teachers import vision
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher


class Torchvision(Teacher):
    """Makes a net of torchvision's, loads its weights and asks it in evaluation mode; methods may
    look at its features.

    Nothing is downloaded, and nothing unpickled: bring the weights as safetensors.

    Args:
        model: Its name in torchvision: `resnet50`.
        path: Its weights, `.safetensors`.
        classes: Class names by column of its answers; empty: the data's order.
        size: Side that images are brought to, pixels; None: as they are.
        mean: Subtracted from images in [0, 1], a channel.
        std: Divided by then, a channel.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(
        self,
        *,
        model: str,
        path: InputFile,
        classes: tuple[str, ...] = (),
        size: Count | None = None,
        mean: tuple[float, ...] = vision.MEAN,
        std: tuple[Positive, ...] = vision.STD,
    ) -> None:
        self._look = vision.Look(path, model, classes, size, mean, std)

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        return self._look.learn(_make, lesson)

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        return self._look.recall(_make, files, schema)


def _make(model: str, classes: int) -> nn.Module:
    library = vision.package("torchvision").models
    vision.require_model(model, list(library.list_models()))
    net: nn.Module = library.get_model(model, weights=None, num_classes=classes)
    return net
