"""Features while the student trains: which modules of both models a method looks at, and a teacher
that is asked batch by batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from stillhouse.data.dataset import Dataset
from stillhouse.distillation.classroom import Classroom
from stillhouse.distillation.method import Method
from stillhouse.distillation.methods.combine import Combine
from stillhouse.errors import UsageError
from stillhouse.models.classifier import Classifier
from stillhouse.models.device import device_of
from stillhouse.models.outputs import Outputs
from stillhouse.models.stages import evaluating, find
from stillhouse.models.taps import tapped, taps_of
from stillhouse.plugins import snake

TRIED = 2  # rows of the dry run: enough to tell rows from features


@dataclass(frozen=True)
class Pair:
    """Both models, and the rows that the student will see.

    Attributes:
        student: The model that is to be trained.
        teacher: A torch model in data space, or None where it can only be asked for logits.
        rows: Those that `fit` is given, N of them.
        steps: Optimiser steps that the training takes; 0 where nobody has said, and what rises over
            a training is then at its end.
        features: The teacher's stored features of the rows, [N, …] by tap; those that are not there
            it is asked for in every batch.
    """

    student: Classifier
    teacher: nn.Module | None
    rows: Dataset
    steps: int = 0
    features: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def gives(self) -> frozenset[str]:
        """What such a teacher gives beside stored answers."""
        return frozenset() if self.teacher is None else frozenset({"features", "gradients"})

    def classroom(self, answers: Tensor | None, order: Tensor | None) -> Classroom:
        """Return what a method may ask while the student trains.

        Args:
            answers: The teacher's logits [N, C]; None without a teacher.
            order: For each row the one that the teacher is asked about in its place [N]; None for
                the row itself.
        """
        return Classroom(self.student, self.teacher, self.rows, answers, order, self.steps)


@dataclass(frozen=True)
class Taps:
    """Where both models are looked at.

    Neither dataclass is a module, so that the teacher is neither trained nor stored with the
    objective.

    Attributes:
        student: The method's name of a feature → module path.
        teacher: The same of the teacher.
        model: The teacher.
        stored: Its features of all rows, where they need not be asked for.
    """

    student: Mapping[str, str]
    teacher: Mapping[str, str]
    model: nn.Module
    stored: Mapping[str, Tensor] = field(default_factory=dict)

    def of_student(self, model: Classifier, inputs: Tensor) -> Outputs:
        """Return the student's logits and features, with gradients."""
        taps = tuple(sorted(set(self.student.values())))
        return _named(model.outputs(inputs, taps), self.student)

    def of_teacher(self, inputs: Tensor, rows: Tensor) -> Mapping[str, Tensor]:
        """Return the teacher's features of rows, without gradients: those that are stored, or, in
        evaluation mode, of these inputs.

        Args:
            inputs: [B, *shape], data space.
            rows: Their positions among all rows [B].
        """
        if self.stored:
            return {
                name: each[rows.to(each.device)].to(inputs) for name, each in self.stored.items()
            }
        there = inputs.to(device_of(self.model))
        with evaluating(self.model):
            found = _named(tapped(self.model, there, set(self.teacher.values())), self.teacher)
        return {name: each.to(inputs.device) for name, each in found.features.items()}


def connect(method: Method, pair: Pair) -> Taps:
    """Find what the method wants to look at, and let it make its projectors from a dry run on two
    rows.

    Raises:
        UsageError: A model has no such tap or stage; the message lists the taps of both. Or the
            teacher cannot be looked into.
    """
    if pair.teacher is None:
        raise UsageError(
            "the teacher gives no features: it is no torch model.",
            where="distill.method",
            fix="Choose a method that needs logits alone.",
        )
    if not method.taps:
        raise UsageError(
            f"'{snake(type(method).__name__)}' needs features, but says of no tap which.",
            fix="Set its `taps`, pairs of names.",
        )
    tried = pair.rows.inputs[:TRIED]
    its = [name for _, name in method.taps]
    there = _keeps_inputs(method) and set(its) <= set(pair.features)
    taps = Taps(
        _found("student", pair.student, tried, [mine for mine, _ in method.taps], pair),
        _found("teacher", pair.teacher, tried, its, pair),
        pair.teacher,
        {name: pair.features[name] for name in its} if there else {},
    )
    with evaluating(pair.student), evaluating(pair.teacher):
        student = taps.of_student(pair.student, tried.to(device_of(pair.student)))
        asked = tried.to(device_of(pair.teacher))
        teacher = _named(tapped(pair.teacher, asked, set(taps.teacher.values())), taps.teacher)
    method.build(student, teacher)
    method.to(student.logits.dtype)  # projectors are made in single precision
    return taps


def _keeps_inputs(method: Method) -> bool:
    """Stored features are of the rows themselves, not of what a method makes of them."""
    parts = [part for part in method.modules() if isinstance(part, Method)]
    return all(isinstance(part, Combine) or type(part).inputs is Method.inputs for part in parts)


def _found(
    who: str, model: nn.Module, inputs: Tensor, names: list[str], pair: Pair
) -> dict[str, str]:
    try:
        return find(model, inputs.to(device_of(model)), names)
    except UsageError as error:
        both = (
            f"The student's taps: {', '.join(taps_of(pair.student))}. The teacher's: "
            f"{', '.join(taps_of(pair.teacher)) if pair.teacher else 'none'}."
        )
        raise UsageError(
            error.what.replace("the model", f"the {who}", 1), where="distill.method", fix=both
        ) from None


def _named(outputs: Outputs, names: Mapping[str, str]) -> Outputs:
    return Outputs(outputs.logits, {name: outputs.features[path] for name, path in names.items()})
