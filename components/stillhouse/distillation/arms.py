"""Arms of equal budget: what did the teacher add to the labels, its confidences to its decisions,
each part of a method to the others?
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from stillhouse import config
from stillhouse.data.dataset import Dataset
from stillhouse.distillation.controls import (
    DEFAULT,
    LABELS_ONLY,
    PLAIN,
    PLAIN_METHOD,
    WITHOUT,
    SmoothedLabels,
    hardens,
    swapped,
    swapped_labels,
    without_part,
)
from stillhouse.distillation.live import Pair
from stillhouse.distillation.objective import Distillation
from stillhouse.distillation.settings import read
from stillhouse.evaluation.multi_label import MultiLabel
from stillhouse.evaluation.tasks import CLASSIFICATION, Task
from stillhouse.training.objective import Labels, Objective
from stillhouse.training.settings import FitSettings

Arm = str
"""`student`, or a control: `none`, `hard`, `smooth`, `shuffled`, `plain`, `no_<part>`."""
STUDENT: Arm = "student"


def arms_of(section: Mapping[str, Any] | None) -> tuple[Arm, ...]:
    """Return the arms that a section `distill` asks for, the student first; search spaces may stand
    in it. Where it names no controls, a student that is trained against attacks has its plain
    brother among them.
    """
    asked = (section or {}).get("controls")
    if asked is not None:
        return (STUDENT, *asked)
    beside = (PLAIN,) if hardens((section or {}).get("method")) else ()
    return (STUDENT, *DEFAULT, *beside)


def section_of(arm: Arm, section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `distill` as an arm has it; search spaces that the arm does not have are
    gone from it.

    `hard` learns the teacher's decisions in place of the method; `none` and `smooth` have neither
    method, selector nor a share of labels to choose; `no_<part>` has the method without that part;
    `plain` has plain `kd` in the method's place; `shuffled` differs in the answers alone.
    """
    own = dict(section)
    if arm == "hard":
        own["method"] = {"name": "ce"}
    if arm == PLAIN:
        own["method"] = dict(PLAIN_METHOD)
    if arm in LABELS_ONLY:
        own |= {"method": {"name": "ce"}, "supervised": 1.0, "selector": {"name": "all"}}
    if arm.startswith(WITHOUT):
        own["method"] = without_part(own["method"], arm.removeprefix(WITHOUT))
    if arm != "smooth":
        own.pop("smoothing", None)
    if arm != STUDENT:
        own.pop("controls", None)
    return own


def rows_of(arm: Arm, picked: Dataset) -> Dataset:
    """Return the rows that an arm learns from: all that were picked, and for arms without a teacher
    those with labels alone.
    """
    return picked.labelled if arm in LABELS_ONLY else picked


def objective(
    arm: Arm,
    section: Mapping[str, Any],
    answers: Tensor | None,
    where: str = "distill",
    *,
    pair: Pair | None = None,
    rows: int | None = None,
    task: Task = CLASSIFICATION,
    weights: Tensor | None = None,
    decided: Tensor | None = None,
) -> Objective:
    """Return an arm's loss.

    What it draws (projectors, who gets whose answer) follows torch's own seed.

    Args:
        arm: student: labels and method; hard: labels and the teacher's decisions; none: labels
            alone; smooth: smoothed labels alone; shuffled: as the student, but with the teacher's
            answers to other rows of the same decision; plain: as the student, by plain kd;
            no_<part>: as the student without that part of its method.
        section: The section `distill` without search spaces, of this arm or of the student.
        answers: The teacher's logits [N, C] in the order of `rows_of(arm, picked)`; arms without a
            teacher ignore them.
        where: The section's path, for messages.
        pair: Both models and the rows, for methods that look at features.
        rows: How many of the answers are about the rows themselves; those after them are about
            views of the same rows in the same order, the last view perhaps of some alone. None: all
            are.
        task: What is predicted.
        weights: Of the labels, by class [C]; None: all 1.
        decided: The class that the teacher decides for in each row [N], where its answers were
            sampled and do not say it; None: where they are largest.

    Raises:
        SettingsError: A setting does not fit.
        UsageError: The method needs what the teacher does not give, or does not go with the
            selector; a model has no such tap.
    """
    settings = read(section_of(arm, section), where)
    if arm == "shuffled" and isinstance(task, MultiLabel) and answers is not None:
        answers, pair = _swapped_labels(answers, rows), None
    if arm == "hard" and answers is not None and decided is not None:
        answers = _one_hot(decided, answers.shape[1])
    if arm == "smooth":
        return SmoothedLabels(settings.smoothing, task, weights)
    if arm in LABELS_ONLY:
        return Labels(task, weights)
    return Distillation(
        method=config.plugin("methods", settings.method, where=f"{where}.method"),
        selector=config.plugin("selectors", settings.selector, where=f"{where}.selector"),
        supervised=settings.supervised,
        answers=answers,
        pair=pair,
        order=_order(arm, answers, rows, task, decided),
        task=task,
        weights=weights,
    )


def _one_hot(decided: Tensor, classes: int) -> Tensor:
    """Of whole answers the arm would look at nothing but where each is largest either."""
    made = torch.zeros(len(decided), classes, dtype=torch.uint8)
    return made.scatter_(1, decided[:, None], 1)


def _order(
    arm: Arm, answers: Tensor | None, rows: int | None, task: Task, decided: Tensor | None
) -> Tensor | None:
    if arm != "shuffled" or answers is None or isinstance(task, MultiLabel):
        return None
    return _swapped(answers.argmax(dim=-1) if decided is None else decided, rows)


def _swapped_labels(answers: Tensor, rows: int | None) -> Tensor:
    """Return the answers swapped by the first view as `_swapped` does, each label by itself."""
    count = rows or len(answers)
    order, views = swapped_labels(answers[:count], _generator()), len(answers) // count
    starts = range(0, views * count, count)
    whole = [answers[start : start + count].gather(0, order) for start in starts]
    rest = answers[views * count :]
    return torch.cat([*whole, rest.gather(0, swapped_labels(rest, _generator()))])


def _swapped(decided: Tensor, rows: int | None) -> Tensor:
    """Swap rows by their first view and keep to it in the others: a row must not be given what the
    teacher said of another look at itself. Of a view of some rows alone, those swap among
    themselves.
    """
    count = rows or len(decided)
    order, views = swapped(decided[:count], _generator()), len(decided) // count
    whole = [view * count + order for view in range(views)]
    rest = decided[views * count :]
    return torch.cat([*whole, views * count + swapped(rest, _generator())] if len(rest) else whole)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(int(torch.randint(2**31, ())))


def fit_settings(
    section: Mapping[str, Any], picked: int, seed: int, where: str = "distill"
) -> FitSettings:
    """Return the training settings of one arm and seed; the steps are counted over all picked rows,
    whatever the arm learns from.

    Args:
        section: The section `distill` without search spaces, of this arm.
        picked: Labelled and unlabelled rows together.
        seed: Of the order of the rows.
        where: The section's path, for messages.
    """
    s = read(section, where)
    taken = s.epochs * math.ceil(picked / s.batch)
    return FitSettings(
        s.epochs, s.batch, s.optimizer, s.warmup, s.clip, s.ema, s.patience, seed, taken
    )
