"""Distillation in five lines: two torch models and some rows, no flow, no params.yaml, no
server.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse import config
from stillhouse.data.dataset import UNLABELLED, Dataset
from stillhouse.data.schema import Feature, Kind, Schema
from stillhouse.distillation.live import Pair
from stillhouse.distillation.method import Method
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.selector import Selector
from stillhouse.errors import DataError, UsageError
from stillhouse.evaluation.evaluate import logits_of
from stillhouse.models.access import accept
from stillhouse.models.classifier import Classifier
from stillhouse.models.normalize import Normalize
from stillhouse.training.fit import FitSettings, Progress, fit, silent
from stillhouse.training.randomness import own_random_state

KINDS: dict[int, Kind] = {1: "table", 2: "series", 3: "image"}  # by the axes of a row
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
        DataError: Rows, targets or the models' answers do not fit one another.
        SettingsError: A setting does not fit.
        PluginNotFound: There is no method or selector of that name.
        UsageError: The method takes other rows, does not go with the selector, or looks at a tap
            that a model does not have.
        TrainingFailed: Loss or gradient is NaN or infinite; the message names the rows.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> rows = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        >>> student = distill(nn.Linear(4, 3), nn.Linear(4, 3), rows, epochs=2)
        >>> student(rows).shape
        torch.Size([64, 3])
    """
    answers = _answers(teacher, student, inputs)
    rows = _rows(inputs, targets, answers.shape[1])
    if teacher is student:
        raise UsageError(
            "teacher and student are one model.",
            fix="Give the student weights of its own: copy.deepcopy(teacher).",
        )
    spec, chosen = _spec(method), _spec(selector)
    loss: Method = config.plugin("methods", spec, where="method")
    weigher: Selector = config.plugin("selectors", chosen, where="selector")
    accept(spec["name"], loss.accepts, rows.schema.kind)
    model = Classifier(Normalize.empty(rows.schema), student)
    settings = config.build(
        FitSettings,
        {"epochs": epochs, "batch": batch, "optimizer": optimizer, "seed": seed},
        where="distill",
    )
    share = (
        config.adapt(config.Share, supervised, where="supervised") if len(rows.labelled) else 0.0
    )
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


def _spec(asked: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"name": asked} if isinstance(asked, str) else dict(asked)


def _answers(teacher: nn.Module, student: nn.Module, inputs: Tensor) -> Tensor:
    if inputs.ndim - 1 not in KINDS or not len(inputs) or not inputs.is_floating_point():
        raise DataError(
            f"inputs of shape {list(inputs.shape)}, {inputs.dtype}, are no rows.",
            where="inputs",
            fix="Give floats [N, D], [N, T, D] or [N, C, H, W].",
        )
    answers = logits_of(teacher, inputs)
    if answers.ndim != 2 or len(answers) != len(inputs):
        raise DataError(
            f"the teacher answers {list(answers.shape)} for {len(inputs)} rows, not [N, C].",
            where="teacher",
            fix="It must return logits.",
        )
    bad = torch.nonzero(~torch.isfinite(answers).all(dim=1)).flatten()
    if len(bad):
        raise DataError(
            f"the teacher has no finite answer for {len(bad)} rows, the first of them "
            f"{int(bad[0])}.",
            where="teacher",
            fix="Mend or drop them.",
        )
    told = logits_of(student, inputs[:2])
    if told.shape[1:] != answers.shape[1:]:
        raise DataError(
            f"the teacher answers {answers.shape[1]} classes, the student {list(told.shape[1:])}.",
            where="student",
            fix="Give both the same classes.",
        )
    return answers


def _rows(inputs: Tensor, targets: Tensor | None, classes: int) -> Dataset:
    known = torch.full((len(inputs),), UNLABELLED) if targets is None else targets
    if known.shape != (len(inputs),) or known.dtype != torch.int64:
        raise DataError(
            f"targets of shape {list(known.shape)}, {known.dtype}, do not fit {len(inputs)} rows.",
            where="targets",
            fix="Give int64 [N].",
        )
    if int(known.max()) >= classes or int(known.min()) < UNLABELLED:
        raise DataError(
            f"targets lie between {int(known.min())} and {int(known.max())}, but there are "
            f"{classes} classes.",
            where="targets",
            fix="Count from 0; −1 is unlabelled.",
        )
    kind = KINDS[inputs.ndim - 1]
    schema = Schema(kind, tuple(inputs.shape[1:]), tuple(str(code) for code in range(classes)), ())
    features = tuple(Feature(f"x{at}") for at in range(inputs.shape[schema.feature_axis]))
    return Dataset(inputs, known, replace(schema, features=features), torch.arange(len(inputs)))
