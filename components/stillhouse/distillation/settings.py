"""The section `distill` of params.yaml: the one in which a search space may stand in a value's
place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Interval

from stillhouse import config
from stillhouse.config import Count, NonNegative, Positive, Share, Spec
from stillhouse.distillation.controls import DEFAULT, refuse_unknown
from stillhouse.distillation.method import Method
from stillhouse.distillation.objective import refuse_selection
from stillhouse.distillation.selector import Selector
from stillhouse.errors import SettingsError
from stillhouse.evaluation.operating import Criterion
from stillhouse.evaluation.operating import check as check_criterion
from stillhouse.evaluation.weights import ClassWeights
from stillhouse.training.optimizers import optimizer_settings


@dataclass(frozen=True)
class Settings:
    """Settings of the student's training and of its arms, no search space left in them.

    Attributes:
        student: An architecture.
        optimizer: adamw, adam or sgd, with its settings.
        method: What is learned from the teacher.
        supervised: Loss = supervised × cross entropy on labelled rows + (1 − supervised) × method
            on all rows.
        selector: Which rows learn from the teacher.
        synthetic: Of tables and series grown by `knowledge.views`: how many changed rows are
            learned from for each row, 0 to views − 1; None: all that the teacher was asked about.
        threshold: Of two classes: at which probability the one that is looked for is called, chosen
            on val: youden (the largest sensitivity + specificity), {sensitivity: 0.9} (the largest
            specificity with that sensitivity at least), {specificity: 0.9}, or {value: 0.5}. Of
            several labels a row: the same of each. None: youden of two classes, and every label
            from one half on.
        class_weights: How much a label of each class weighs, in every arm: `balanced` (rare classes
            weigh as much as frequent ones, among the labelled rows), or class → weight, 1 where it
            is left out; None: all 1. What the method says of a row is not weighed.
        controls: Arms beside the student, each trained from the same seeds for the same steps: none
            (labels alone), hard (the teacher's decisions), smooth (smoothed labels alone), shuffled
            (the teacher's answers to other rows of the same decision), plain (beside a method that
            trains against attacks: kd, under the same attacks), no_<part> (a `combine` without that
            part). Where it is left out: none and hard, and plain where the method trains against
            attacks.
        smoothing: Of the arm `smooth`: probability that is spread over all classes.
        epochs: Optimiser steps = epochs × ⌈(labelled + unlabelled) / batch⌉, the same for every
            arm.
        batch: Rows a step at most.
        seeds: Trainings an arm; seed 0 ships.
        warmup: Share of the steps in which the learning rate rises.
        clip: The largest norm of the gradient.
        ema: Decay of the moving average of the weights; 0 is none.
        patience: Epochs without a better validation accuracy after which training stops; None takes
            every step.
    """

    student: Spec = field(default_factory=lambda: {"name": "mlp", "width": 32, "depth": 2})
    optimizer: Spec = field(default_factory=lambda: {"name": "adamw"})
    method: Spec = field(default_factory=lambda: {"name": "kd"})
    supervised: Share = 0.1
    selector: Spec = field(default_factory=lambda: {"name": "all"})
    synthetic: NonNegative | None = None
    threshold: Criterion | None = None
    class_weights: ClassWeights = None
    controls: tuple[str, ...] = DEFAULT
    smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    epochs: Count = 400
    batch: Count = 128
    seeds: Count = 5
    warmup: Share = 0.05
    clip: Positive = 1.0
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    patience: Count | None = None


def read(section: Mapping[str, Any] | None, where: str = "distill") -> Settings:
    """Return the typed settings of a section without search spaces, its plugins checked too.

    Raises:
        SettingsError: A key is unknown, a type wrong, a value out of bounds.
        PluginNotFound: A plugin's name is unknown.
        UsageError: The selector does not go with the method.
    """
    if section is not None and not isinstance(section, Mapping):
        raise SettingsError(
            f"the section must be a mapping, not {section!r}.",
            where=where,
            fix="Write its settings below it.",
        )
    made = config.build(Settings, section, where=where)
    config.check_spec("architectures", made.student, where=f"{where}.student")
    optimizer_settings(made.optimizer, f"{where}.optimizer")
    method: Method = config.plugin("methods", made.method, where=f"{where}.method")
    selector: Selector = config.plugin("selectors", made.selector, where=f"{where}.selector")
    refuse_selection(method, selector)
    refuse_unknown(made.controls, made.method, f"{where}.controls")
    if made.threshold is not None:
        check_criterion(made.threshold, f"{where}.threshold")
    return made


def check(section: Mapping[str, Any] | None, where: str = "distill") -> None:
    """Check a section in which search spaces may stand anywhere, in nested plugins too: each space
    at both ends, each choice. Errors as `read`.

    Which controls there are must be known before anything is searched, so no space may stand in
    their place, nor around the parts that they take away.
    """
    if isinstance(section, Mapping) and section.get("controls") is not None:
        config.refuse_spaces(section["controls"], f"{where}.controls")
        method = section.get("method")
        if (
            isinstance(method, Mapping)
            and isinstance(section["controls"], list | tuple)
            and all(isinstance(name, str) for name in section["controls"])
        ):
            refuse_unknown(section["controls"], method, f"{where}.controls")
    for corner in corners(section or {}, where):
        read(corner, where)


def corners(section: Any, where: str) -> Iterator[Any]:
    """Yield the section with each space at each of its ends, the others at their first; a choice
    may hold spaces of its own.

    One space at a time: a plugin's bounds are on single settings, so the corners of all spaces
        together would only cost time.

    Raises:
        SettingsError: A space is malformed.
    """
    found = [
        (path, config.ends(space, ".".join((where, *path))))
        for path, space in config.spaces(section)
    ]
    if not found:
        yield section
        return
    first = section
    for path, values in found:
        first = config.put(first, path, values[0])
    for path, values in found:
        for value in values:
            yield from corners(config.put(first, path, value), where)
