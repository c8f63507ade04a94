"""What is predicted, as a value: every room asks here what a task's base loss is, what its numbers
are called, and what is to be stored of a teacher's answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.dataset import known
from stillhouse.data.schema import Schema
from stillhouse.evaluation import errors, evaluate, metrics, ranking
from stillhouse.evaluation.measure import ACCURACY, Measure
from stillhouse.evaluation.multi_label import MultiLabel
from stillhouse.evaluation.ranking import Bools, Floats
from stillhouse.evaluation.task import Task as Task
from stillhouse.models.softmax import log_softmax

LOWEST = -60_000.0  # fp16 ends at −65,504; a probability that small is 0


class Classification(Task):
    """One class of several: outputs are logits.

    Args:
        positive: The code of the class that is looked for, where there are two; None where there
            are more.
    """

    name = words = "classification"
    output = "logits"
    aim = "val/accuracy"
    scalars: tuple[str, ...] = evaluate.SCALARS
    measure = ACCURACY
    gated = ("accuracy", "balanced_accuracy", "auc")
    score = "accuracy"
    decides = True
    instead: ClassVar[Mapping[str, str]] = {
        "method": "Write method: {name: kd}; `stillhouse plugins` lists the others.",
        "selector": "Write selector: {name: all}.",
    }
    controls: ClassVar[Mapping[str, tuple[str, str]]] = {
        "none": ("The teacher", "over labels alone"),
        "hard": ("The teacher's confidences", "beyond its decisions"),
        "smooth": ("The teacher", "over smoothed labels"),
        "shuffled": (
            "What the teacher knows of a single row",
            "beyond what it says of the whole class",
        ),
        "plain": ("Training against attacks", "over the plain student, on clean rows"),
    }
    hard = "its decisions, no confidences"
    moved_unit = "a probability"

    def __init__(self, positive: int | None = None) -> None:
        self.positive = positive
        if positive is not None:
            self.scalars = (*evaluate.SCALARS, "auc")

    def ranked(self, outputs: Tensor, targets: Tensor) -> tuple[Floats, Bools]:
        """Return the probability [N] of the class that is looked for, and which targets are it."""
        scores = metrics.probabilities(outputs)[:, self.positive or 0]
        return scores.numpy(), np.asarray(targets) == self.positive

    def total(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return F.cross_entropy(outputs, targets, weights, ignore_index=-1, reduction="sum")

    def each(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        told = log_softmax(outputs)
        return F.nll_loss(told, targets, weights, ignore_index=-1, reduction="none")

    def follow(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        return F.cross_entropy(outputs, teacher.argmax(dim=-1), reduction="none")

    def stored(self, outputs: Tensor) -> Tensor:
        """Logits less each row's largest, as fp16: the same softmax, and nothing that overflows."""
        wide = outputs.double()
        return (wide - wide.amax(dim=1, keepdim=True)).clamp(min=LOWEST).half()

    def merit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether the answer is right."""
        return metrics.correct(outputs, targets)

    def moved(self, outputs: Tensor, others: Tensor) -> Tensor:
        return (outputs.softmax(dim=1) - others.softmax(dim=1)).abs().amax(dim=1)

    def alike(self, outputs: Tensor, others: Tensor) -> Tensor | None:
        return outputs.argmax(dim=-1) == others.argmax(dim=-1)

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        found = {name: float(getattr(metrics, name)(outputs, targets)) for name in evaluate.SCALARS}
        if self.positive is not None:
            found["auc"] = ranking.auc(*self.ranked(outputs, targets))
        return found

    def curve(self, outputs: Tensor, targets: Tensor) -> tuple[float, float]:
        return metrics.accuracy(outputs, targets), metrics.nll(outputs, targets)

    def report(self, outputs: Tensor, targets: Tensor, schema: Schema) -> dict[str, Any]:
        found = evaluate.report(outputs, targets, schema.classes)
        told = known(targets)
        if self.positive is not None and bool(
            (torch.bincount(targets[told], minlength=2) > 1).all()
        ):
            found["auc"] = list(ranking.interval(*self.ranked(outputs[told], targets[told])))
        return found

    def answers(
        self, outputs: Tensor, schema: Schema, thresholds: Sequence[float] = ()
    ) -> list[Mapping[str, Any]]:
        told = metrics.probabilities(outputs)
        decided = told.argmax(dim=1)
        if thresholds and self.positive is not None:
            called = told[:, self.positive] >= thresholds[0]
            decided = torch.where(called, self.positive, 1 - self.positive)
        return [
            {"class": schema.classes[c], "probability": round(float(row[c]), 6)}
            for row, c in zip(told, decided.tolist(), strict=True)
        ]


class Regression(Task):
    """A quantity: its mean, or some of its quantiles, in its own unit.

    Args:
        quantiles: Levels, by output; empty: the one output is the mean.
        unit: Of the quantity.
    """

    name = words = "regression"
    right_or_wrong = False
    output = "predictions"
    aim = "val/rmse"
    gated = ("rmse", "mae", "r2")
    score = "r2"
    decides = False
    instead: ClassVar[Mapping[str, str]] = {
        "method": "Write method: {name: match} (the teacher's answer) or {name: teacher_bounded} "
        "(the labels, as far as the teacher reaches).",
        "selector": "Write selector: {name: all}.",
    }
    controls: ClassVar[Mapping[str, tuple[str, str]]] = {
        "none": ("The teacher", "over labels alone"),
        "hard": ("The method", "beyond the teacher's predictions taken for labels"),
        "shuffled": (
            "What the teacher knows of a single row",
            "beyond its answers to other rows",
        ),
    }
    hard = "its predictions taken for labels"
    moved_unit = "their standard deviation"
    why_no_decision = "a regression tells a quantity and decides for no class"

    def __init__(self, quantiles: tuple[float, ...] = (), unit: str = "") -> None:
        self.quantiles = quantiles
        self.scalars = errors.SCALARS if not quantiles else (*errors.SCALARS, *errors.OF_QUANTILES)
        self.measure = Measure("mae", "Mean absolute error", unit, 1.0, more_is_better=False)

    def point(self, outputs: Tensor) -> Tensor:
        """Return the one number that is told of each row, [N]: the mean, or the median."""
        return outputs[:, self.quantiles.index(0.5) if self.quantiles else 0]

    def total(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.each(outputs, targets, weights).sum()

    def each(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        if weights is not None:
            raise TypeError("a quantity has no class weights")
        there = known(targets)
        return self._rows(outputs, targets.nan_to_num(0.0)) * there

    def follow(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        return self._rows(outputs, self.point(teacher).detach())

    def _rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.quantiles:
            return errors.pinball_rows(outputs, targets, self.quantiles)
        return errors.squared_rows(outputs[:, 0], targets)

    def stored(self, outputs: Tensor) -> Tensor:
        """As they are: fp16 would round a quantity of five digits, and overflow beyond."""
        return outputs.float()

    def merit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The absolute error, negative."""
        return -errors.absolute_rows(self.point(outputs).double(), targets.double())

    def moved(self, outputs: Tensor, others: Tensor) -> Tensor:
        spread = others.double().std(correction=0).clamp_min(torch.finfo(torch.float32).tiny)
        return (outputs - others).double().abs().amax(dim=1) / spread

    def alike(self, outputs: Tensor, others: Tensor) -> Tensor | None:  # noqa: ARG002
        return None

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return errors.scores(self.point(outputs), outputs, targets, self.quantiles)

    def curve(self, outputs: Tensor, targets: Tensor) -> tuple[float, float]:
        found = self.scores(outputs, targets)
        return found["r2"], found["rmse"]

    def report(self, outputs: Tensor, targets: Tensor, schema: Schema) -> dict[str, Any]:  # noqa: ARG002
        there = known(targets)
        return errors.report(
            self.point(outputs[there]), outputs[there], targets[there], self.quantiles
        )

    def answers(
        self,
        outputs: Tensor,
        schema: Schema,
        thresholds: Sequence[float] = (),  # noqa: ARG002 - a quantity is not decided
    ) -> list[Mapping[str, Any]]:
        return [dict(zip(schema.outputs, row, strict=True)) for row in outputs.tolist()]


CLASSIFICATION = Classification()
_CLASSES = {None: CLASSIFICATION, 0: Classification(0), 1: Classification(1)}
MULTI_LABEL = MultiLabel()
TASKS: Mapping[str, Task] = {
    task.name: task for task in (CLASSIFICATION, Regression(), MULTI_LABEL)
}
"""By name; of what a schema adds (quantiles, unit) these know nothing."""


def variants(name: str) -> tuple[Task, ...]:
    """Return the forms of a task that rows may turn out to have, for whoever knows no row yet."""
    if name == "regression":
        return Regression(), Regression((0.5,))
    if name == MULTI_LABEL.name:
        return (MULTI_LABEL,)
    return CLASSIFICATION, _CLASSES[1]


def task_of(schema: Schema) -> Task:
    """Return what rows of a schema are predicted for."""
    if schema.labels:
        return MULTI_LABEL
    if schema.quantity is None:
        return _CLASSES[schema.positive_code]
    return Regression(schema.quantity.quantiles, schema.quantity.unit)


def counted(targets: Tensor) -> Tensor:
    """Return how many of a batch's rows have a target, at least 1, to divide by."""
    return torch.clamp(known(targets).sum(), min=1)
