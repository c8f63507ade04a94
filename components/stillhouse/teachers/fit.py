"""A teacher that is trained here: it stands for the large model that somebody has already."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from stillhouse import config
from stillhouse.architectures.build import build_classifier, parameters
from stillhouse.config import Count, Natural, Positive, Share, Spec
from stillhouse.data.schema import Schema
from stillhouse.errors import SourceError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.evaluation.tasks import task_of
from stillhouse.evaluation.weights import ClassWeights, class_weights
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.teachers.classes import require_examples
from stillhouse.teachers.teacher import Lesson, Oracle, Teacher
from stillhouse.training.fit import fit
from stillhouse.training.objective import Labels
from stillhouse.training.settings import FitSettings
from stillhouse.workspace import dump_tensors, parse_tensors

WEIGHTS = "teacher.safetensors"
ADAMW: Spec = {"name": "adamw", "lr": 3e-3, "weight_decay": 1e-4}


class Fit(Teacher):
    """Trains an architecture on all train rows with all their targets, also those that the student
    does not see.

    Args:
        architecture: The net: `{name: mlp, width: 256, depth: 2}`.
        epochs: Passes over the train rows.
        batch: Rows a step.
        optimizer: `{name: adamw, lr: 0.003, weight_decay: 0.0001}`.
        warmup: Share of the steps in which the learning rate rises.
        clip: The largest norm of the gradient.
        class_weights: How much a label of each class weighs: `balanced`, or class → weight; None:
            all 1.
        seed: Of the weights and the order of rows.
    """

    def __init__(
        self,
        *,
        architecture: Spec,
        epochs: Count = 60,
        batch: Count = 128,
        optimizer: Spec = ADAMW,
        warmup: Share = 0.05,
        clip: Positive = 1.0,
        class_weights: ClassWeights = None,
        seed: Natural = 0,
    ) -> None:
        config.check_spec("architectures", architecture, where="teacher.architecture")
        self.architecture, self.class_weights = architecture, class_weights
        self.settings = FitSettings(
            epochs=epochs, batch=batch, optimizer=optimizer, warmup=warmup, clip=clip, seed=seed
        )
        self.settings.check("teacher")

    def learn(self, lesson: Lesson) -> Mapping[str, bytes]:
        schema = lesson.train.schema
        require_examples(lesson.train.targets, schema)
        normalize = Normalize.fit(lesson.train.inputs, schema)
        settings = replace(self.settings, seed=self.settings.seed + lesson.seed)
        model = build_classifier(
            self.architecture, schema, normalize, settings.seed, "teacher.architecture"
        ).to(lesson.device)
        fitted = fit(
            model,
            Labels(
                task_of(schema),
                class_weights(self.class_weights, lesson.train, "teacher.class_weights"),
            ),
            lesson.train,
            lesson.val,
            settings,
            checkpoint=lesson.scratch / "fit.safetensors",
            progress=lesson.progress,
        )
        return {WEIGHTS: dump_tensors(fitted.model.state_dict())}

    def recall(self, files: Mapping[str, bytes], schema: Schema) -> Oracle:
        model = build_classifier(
            self.architecture,
            schema,
            Normalize.empty(schema),
            self.settings.seed,
            "teacher.architecture",
        )
        weights = parse_tensors(files[WEIGHTS], where=WEIGHTS)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise SourceError(
                f"the weights do not fit the net: {error}",
                where=WEIGHTS,
                fix="Train the teacher again.",
            ) from None
        return Trained(model)


class Trained(Oracle):
    """A torch model that answers; it gives features and gradients too."""

    gives = frozenset({"logits", "features", "gradients"})
    divisible = moves = True

    def __init__(self, model: Classifier) -> None:
        self.module = model.eval().requires_grad_(False)
        self.parameters = parameters(model)
        self._model = model

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return logits_of(self._model, inputs)
