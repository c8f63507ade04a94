"""A teacher that is a torch model in your own code, weights and all."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.architectures.build import parameters
from stillhouse.config import Positive, Spec
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models import own
from stillhouse.teachers.classes import order, require_count
from stillhouse.teachers.scaling import by_feature, scaled
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.training.randomness import own_random_state
from stillhouse.workspace import dump_json, dump_tensors, parse_tensors

WEIGHTS, FORM = "teacher.safetensors", "form.json"
NONE: Spec = {}


class Module(Teacher):
    """Makes an nn.Module by your own class or function, which brings its weights, and asks it in
    evaluation mode. Methods may look at its features.

    Its weights are stored when the step `teacher` runs; later steps make it again and load them.

    Args:
        module: `my_models:load_teacher`, a class or function of a file beside params.yaml; of its
            parameters `shape` (of a row in data space), `classes`, `num_classes`, `in_channels` and
            `in_features` are given.
        settings: For its other parameters.
        classes: Class names by column of its answers; empty: the data's order.
        mean: What it was trained to have subtracted from its rows: one number, or one a feature.
        std: What it was trained to have its rows divided by then, likewise.
    """

    def __init__(
        self,
        *,
        module: str,
        settings: Spec = NONE,
        classes: tuple[str, ...] = (),
        mean: tuple[float, ...] = (),
        std: tuple[Positive, ...] = (),
    ) -> None:
        own.check(module, settings, where="teacher")
        self.module, self.settings, self.classes = module, settings, classes
        self.mean, self.std = mean, std

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        schema = lesson.train.schema
        form: dict[str, Any] = {
            "mean": by_feature(self.mean, schema, "teacher.mean"),
            "std": by_feature(self.std, schema, "teacher.std"),
            "columns": order(self.classes, schema, where="teacher.classes"),
        }
        model = self._made(form, schema).eval()
        try:
            with torch.no_grad():
                answers = model.net(scaled(lesson.val.inputs[:2], form, schema))
        except Exception as error:  # it is the user's code
            raise SourceError(
                f"it cannot answer rows of shape {list(schema.shape)}: {type(error).__name__}: "
                f"{error}",
                where=self.module,
                fix="It is given rows in data space, batch first, less mean and over std.",
            ) from error
        if not isinstance(answers, Tensor) or answers.ndim != 2:
            found = list(answers.shape) if isinstance(answers, Tensor) else type(answers).__name__
            raise SourceError(
                f"it answers {found}, not logits [N, C].", where=self.module, fix="Return logits."
            )
        require_count(answers.shape[1], schema, where=self.module)
        return {WEIGHTS: dump_tensors(model.net.state_dict()), FORM: dump_json(form)}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        model = self._made(json.loads(files[FORM]), schema)
        try:
            model.net.load_state_dict(parse_tensors(files[WEIGHTS], where=WEIGHTS))
        except RuntimeError as error:
            raise SourceError(
                f"the weights do not fit the net: {error}",
                where=self.module,
                fix="Run the step `teacher` again.",
            ) from None
        return Answering(model)

    def _made(self, form: Mapping[str, Any], schema: Schema) -> "Scaled":
        with own_random_state(0):
            net = own.make(
                self.module, self.settings, schema.shape, len(schema.outputs), where="teacher"
            )
        return Scaled(net, form, schema)


class Scaled(nn.Module):
    """A net behind its scaling, its classes in the data's order."""

    def __init__(self, net: nn.Module, form: Mapping[str, Any], schema: Schema) -> None:
        super().__init__()
        self.net, self._form, self._schema = net, form, schema

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of rows [B, *shape] in data space."""
        answers: Tensor = self.net(scaled(inputs, self._form, self._schema))
        return answers[:, self._form["columns"]]


class Answering(Oracle):
    """A torch model that answers; it gives features and gradients too."""

    gives = frozenset({"logits", "features", "gradients"})
    divisible = moves = True

    def __init__(self, model: Scaled) -> None:
        self.module = model.eval().requires_grad_(False)
        self.parameters = parameters(model)
        self._model = model

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return logits_of(self._model, inputs)
