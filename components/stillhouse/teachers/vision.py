"""Nets of torchvision and timm by name (extra `vision`): what both teachers do."""

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse import config
from stillhouse.architectures.build import parameters
from stillhouse.data.schema import Schema
from stillhouse.errors import SettingsError, SourceError, nearest
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.huggingface import Pictures
from stillhouse.teachers.teacher import Lesson, Oracle
from stillhouse.workspace import dump_json, dump_tensors, load_tensors, parse_tensors

WEIGHTS, FORM = "teacher.safetensors", "form.json"
COLOURS = 3
# of ImageNet, as both libraries' own recipes have them
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Make = Callable[[str, int], nn.Module]
"""A library's: from a net's name and the number of classes to the net, its weights random."""


def package(name: str) -> Any:
    """Return a library of the extra `vision`.

    Raises:
        SettingsError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"the package '{name}' cannot be imported ({error}).",
            where="teacher.name",
            fix="Install the extra that brings it: pip install 'stillhouse[vision]'.",
        ) from None


def require_model(name: str, known: list[str]) -> None:
    """Refuse a net that a library does not have.

    Raises:
        SettingsError: It does not; the nearest is named.
    """
    if name not in known:
        raise SettingsError(
            f"there is no net '{name}'.", where="teacher.model", fix=nearest(name, known)
        )


@dataclass(frozen=True)
class Look:
    """How a net of a library's sees images, as a user says it.

    Attributes:
        path: Of its weights, safetensors.
        model: Its name in the library.
        classes: Class names by column; empty: the data's order.
        size: Side that images are brought to; None: as they are.
        mean: A channel, of images in [0, 1].
        std: A channel.
    """

    path: str
    model: str
    classes: tuple[str, ...]
    size: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != COLOURS or len(self.std) != COLOURS:
            raise SettingsError(
                f"mean has {len(self.mean)} numbers and std {len(self.std)}; a net of this "
                f"library looks at {COLOURS} channels.",
                where="teacher.mean",
                fix=f"Give {COLOURS} each.",
            )

    def learn(self, make: Make, lesson: Lesson) -> Mapping[str, bytes]:
        """Return the files that make the teacher.

        Raises:
            SourceError: There are no such weights, or they are another net's.
        """
        path, schema = config.file_of(self.path, lesson.root), lesson.train.schema
        weights = load_tensors(path)
        columns = order(self.classes, schema, where="teacher.classes")
        _load(make(self.model, len(columns)), weights, path)
        return {WEIGHTS: dump_tensors(weights), FORM: dump_json({"columns": columns})}

    def recall(self, make: Make, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        """Return the teacher that `learn` stored."""
        columns = json.loads(files[FORM])["columns"]
        require_count(len(columns), schema, where=FORM)
        net = make(self.model, len(columns))
        _load(net, parse_tensors(files[WEIGHTS], where=WEIGHTS), Path(WEIGHTS))
        sides = None if self.size is None else (self.size, self.size)
        return Seeing(Sees(net, Pictures(None, sides, False, 1.0, self.mean, self.std), columns))


def _load(net: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        net.load_state_dict(dict(weights))
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise SourceError(
            f"the weights are another net's: {said}",
            where=path.name,
            fix="Name the net that they were trained in, with its number of classes.",
        ) from None


class Sees(nn.Module):
    """A net behind its preparation of images, its classes in the data's order."""

    def __init__(self, net: nn.Module, pictures: Pictures, columns: list[int]) -> None:
        super().__init__()
        self.net, self._pictures, self._columns = net, pictures, columns

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of images [B, 1 or 3, H, W] in [0, 1]."""
        if inputs.shape[1] == 1:
            inputs = inputs.expand(-1, COLOURS, -1, -1)
        found: Tensor = self.net(self._pictures(inputs))
        return found[:, torch.tensor(self._columns, device=found.device)]


class Seeing(Oracle):
    """A net of a library's that answers; it gives features and gradients too."""

    gives = frozenset({"logits", "features", "gradients"})
    moves = True

    def __init__(self, model: Sees) -> None:
        self.module = model.eval().requires_grad_(False)
        self.parameters = parameters(model)
        self._model = model

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return logits_of(self._model, inputs)
