"""Distillation in five lines: two torch models and some rows, no flow, no params.yaml, no
server.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse import config
from stillhouse.distillation.admission import (
    answers_of,
    require_same_order,
    require_trainable,
    rows_of,
)
from stillhouse.distillation.live import Pair
from stillhouse.distillation.method import Method
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selector import Selector
from stillhouse.errors import SettingsError
from stillhouse.models.access import accept
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, Progress, fit, silent
from stillhouse.training.randomness import own_random_state

ADAMW: Mapping[str, Any] = {"name": "adamw", "lr": 3e-3, "weight_decay": 1e-4}


def distill(
    teacher: nn.Module,
    student: nn.Module,
    inputs: Tensor,
    targets: Tensor | None = None,
    *,
    method: str | Mapping[str, Any] = "kd",
    selector: str | Mapping[str, Any] = "all",
    supervised: float = 0.1,
    epochs: int = 100,
    batch: int = 128,
    optimizer: Mapping[str, Any] = ADAMW,
    seed: int = 0,
    progress: Progress = silent,
) -> nn.Module:
    """Train a student to answer as its teacher does, and return it.

    The teacher is asked once about every row (by methods that look at features, in every batch),
    and left as it is. The same seed gives the same bits.

    Args:
        teacher: From inputs to logits [B, C].
        student: The same, small; trained in place.
        inputs: [N, D] a table, [N, T, D] series or [N, channels, height, width] images, float32, as
            both models take them.
        targets: [N], int64 in 0 … C − 1, −1 where unlabelled; None if no row has a label.
        method: A method's name, or it with its settings: `{"name": "kd", "temperature": 2.0}`.
        selector: The same of a selector.
        supervised: Loss = supervised × cross entropy on labelled rows + (1 − supervised) × method
            on all rows; without any label the method alone.
        epochs: Passes over the rows.
        batch: Rows a step at most.
        optimizer: adamw, adam or sgd with its settings.
        seed: Of the order of the rows, of dropout and of projectors; the student comes with its
            weights.
        progress: Called with (epochs done, all epochs, a note).

    Returns:
        The student, in evaluation mode.

    Raises:
        DataError: Rows, targets or the models' answers do not fit one another, a model answers
            probabilities, or the teacher's classes stand in another order than the targets'.
        SettingsError: A setting does not fit.
        PluginNotFound: There is no method or selector of that name.
        UsageError: The method takes other rows, does not go with the selector, or looks at a tap
            that a model does not have; the student has nothing to train, or shares it with the
            teacher.
        TrainingFailed: Loss or gradient is NaN or infinite; the message names the rows.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> rows = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        >>> student = distill(nn.Linear(4, 3), nn.Linear(4, 3), rows, epochs=2)
        >>> student(rows).shape
        torch.Size([64, 3])
    """
    settings = config.build(
        FitSettings,
        {"epochs": epochs, "batch": batch, "optimizer": optimizer, "seed": seed},
        where="distill",
    )
    with own_random_state(seed):  # a teacher may draw, as one with dropout left on does
        answers = answers_of(teacher, student, inputs)
    rows = rows_of(inputs, targets, answers.shape[1])
    require_trainable(teacher, student)
    spec, chosen = _spec(method, "method"), _spec(selector, "selector")
    loss: Method = config.plugin("methods", spec, where="method")
    weigher: Selector = config.plugin("selectors", chosen, where="selector")
    accept(spec["name"], loss.accepts, rows.schema.kind)
    model = Classifier(Normalize.empty(rows.schema), student)
    asked = config.adapt(config.Share, supervised, where="supervised")
    share = asked if len(rows.labelled) else 0.0
    if share < 1:
        require_same_order(answers, rows)
    with own_random_state(seed):
        objective = Distillation(
            method=loss,
            selector=weigher,
            supervised=share,
            answers=answers,
            pair=Pair(
                model, teacher, rows, settings.epochs * math.ceil(len(rows) / settings.batch)
            ),
        )
    fit(model, objective, rows, rows.take(torch.arange(0)), settings, progress=progress)
    return student.eval()


def _spec(asked: str | Mapping[str, Any], where: str) -> dict[str, Any]:
    if isinstance(asked, str | Mapping):
        return {"name": asked} if isinstance(asked, str) else dict(asked)
    raise SettingsError(
        f"must be a name, or a mapping with a name and settings, not {asked!r}.",
        where=where,
        fix=f"`stillhouse plugins` lists the {where}s.",
    )
