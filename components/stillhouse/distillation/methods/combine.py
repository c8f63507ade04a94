"""Several methods at once, each with its weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse import config
from stillhouse.config import NonNegative, Spec
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.method import Method
from stillhouse.errors import SettingsError
from stillhouse.evaluation.tasks import Task
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch, Outputs
from stillhouse.plugins import snake

WHERE = "distill.method.parts"


def combine_losses(losses: Sequence[Tensor], weights: Sequence[float | Tensor]) -> Tensor:
    """Return the weighted sum of losses: per row [B] if all are, else one scalar, to which a
    per-row loss gives its mean.

    Args:
        losses: Each [B] or a scalar.
        weights: One a loss, ≥ 0; a tensor [B] gives each row its own.

    Example:
        >>> import torch
        >>> combine_losses([torch.tensor([1.0, 3.0]), torch.tensor(4.0)], [0.5, 0.25]).item()
        2.0
    """
    per_row = all(loss.ndim == 1 for loss in losses)
    return torch.stack(
        [
            weight * (loss if per_row else loss.mean())
            for loss, weight in zip(losses, weights, strict=True)
        ]
    ).sum(dim=0)


class Combine(Method):
    """A weighted sum of methods: `{name: combine, parts: [{name: kd, weight: 0.9}, {name: dist}]}`.

    It gives a loss per row if all its parts do, needs what any of them needs, and takes the rows
    that all of them take. What the student sees is changed by one part after the other.

    Args:
        parts: Methods with their settings; `weight` is 1 where it is left out.
    """

    def __init__(self, *, parts: list[Spec]) -> None:
        super().__init__()
        if not parts:
            raise SettingsError(
                "combine needs at least one part.",
                where=WHERE,
                fix="Write parts: [{name: kd, weight: 0.9}, …].",
            )
        places = [f"{WHERE}.{number}" for number in range(len(parts))]
        self.weights: list[float | Tensor] = [
            _weight(part, place) for part, place in zip(parts, places, strict=True)
        ]
        self.parts = nn.ModuleList(
            config.plugin("methods", _without_weight(part), where=place)
            for part, place in zip(parts, places, strict=True)
        )
        methods = self.methods
        _refuse_two_attacks(methods)
        self.per_sample = all(method.per_sample for method in methods)
        self.needs = frozenset().union(*(method.needs for method in methods))
        self.accepts = frozenset.intersection(*(frozenset(method.accepts) for method in methods))
        self.tasks = frozenset.intersection(*(frozenset(method.tasks) for method in methods))
        self.hardens = any(method.hardens for method in methods)
        self.taps = tuple(dict.fromkeys(pair for method in methods for pair in method.taps))

    @property
    def methods(self) -> list[Method]:
        """The parts."""
        return [part for part in self.parts if isinstance(part, Method)]

    def forward(self, student: Outputs, teacher: Outputs | None, batch: Batch) -> Tensor:
        return combine_losses(
            [method(student, teacher, batch) for method in self.methods], self.weights
        )

    def attend(self, task: Task) -> None:
        for method in self.methods:
            method.attend(task)

    def enter(self, classroom: Classroom) -> None:
        super().enter(classroom)
        for method in self.methods:
            method.enter(classroom)

    def build(self, student: Outputs, teacher: Outputs) -> None:
        for method in self.methods:
            method.build(student, teacher)

    def inputs(self, model: Classifier, batch: Batch, generator: torch.Generator) -> Tensor:
        for method in self.methods:
            batch = batch.seen(method.inputs(model, batch, generator))
        return batch.inputs

    def after_step(self, model: Classifier) -> None:
        for method in self.methods:
            method.after_step(model)


def _refuse_two_attacks(methods: Sequence[Method]) -> None:
    """The second would start from what the first has moved, and leave the ball."""
    hardening = [snake(type(method).__name__) for method in methods if method.hardens]
    if len(hardening) > 1:
        raise SettingsError(
            f"{' and '.join(hardening)} would each attack the rows, one on top of the other.",
            where=WHERE,
            fix="Keep one of them.",
        )


def _weight(part: object, where: str) -> float:
    given = part.get("weight", 1.0) if isinstance(part, Mapping) else 1.0
    weight: float = config.adapt(NonNegative, given, where=f"{where}.weight")
    return weight


def _without_weight(part: Spec) -> dict[str, Any]:
    return (
        {key: value for key, value in part.items() if key != "weight"}
        if isinstance(part, Mapping)
        else part
    )
