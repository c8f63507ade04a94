"""The controls that can stand beside the student: what each of them takes away, so that the
difference says what it was worth.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse import config, plugins
from stillhouse.errors import SettingsError, nearest
from stillhouse.evaluation.multi_label import MultiLabel
from stillhouse.evaluation.tasks import CLASSIFICATION, Task
from stillhouse.models.classifier import Classifier
from stillhouse.models.outputs import Batch
from stillhouse.training.objective import Objective, mass

DEFAULT = ("none", "hard")
PLAIN = "plain"  # the student as it would be without attacks in its training
PLAIN_METHOD: Mapping[str, Any] = {"name": "kd"}
KNOWN = (*DEFAULT, "smooth", "shuffled", PLAIN)
WITHOUT = "no_"  # and the name of a part of `combine`
LABELS_ONLY = frozenset({"none", "smooth"})


def refuse_unknown(controls: Sequence[str], method: Mapping[str, Any], where: str) -> None:
    """Refuse a control that does not exist, stands twice, or takes a part from a method that has no
    such part.

    Raises:
        SettingsError: It does.
    """
    for at, control in enumerate(controls):
        place = f"{where}.{at}"
        if control in controls[:at]:
            raise SettingsError(f"'{control}' stands twice.", where=place, fix="Leave one out.")
        if control == PLAIN and not hardens(method):
            raise SettingsError(
                "'plain' is the student without attacks in its training, and the method has none.",
                where=place,
                fix="Leave it out, or choose such a method: rslad, trades, …",
            )
        if control.startswith(WITHOUT):
            _refuse_part(method, control.removeprefix(WITHOUT), place)
        elif control not in KNOWN:
            raise SettingsError(
                f"there is no control '{control}'.",
                where=place,
                fix=nearest(control, [*KNOWN, "no_<part>"]),
            )


def hardens(method: object) -> bool:
    """Whether a method, in whatever corner of a search space, trains against attacks; one that does
    not exist does not.
    """
    if config.is_space(method):
        return any(hardens(choice) for choice in config.ends(method, "method"))  # type: ignore[arg-type]
    if not isinstance(method, Mapping):
        return False
    name, parts = method.get("name"), method.get("parts")
    if config.is_space(name):
        return any(hardens({**method, "name": one}) for one in config.ends(name, "method.name"))  # type: ignore[arg-type]
    if isinstance(parts, Sequence) and any(hardens(part) for part in parts):
        return True
    known = isinstance(name, str) and name in plugins.available("methods")
    return known and bool(plugins.load("methods", str(name)).hardens)


def without_part(method: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return a `combine` without its parts of a name; the weights of the others are left as they
    are. One that has no such part stays what it is.
    """
    return {
        **method,
        "parts": [
            each
            for each in method.get("parts", [])
            if not (isinstance(each, Mapping) and each.get("name") == part)
        ],
    }


def _refuse_part(method: Mapping[str, Any], part: str, where: str) -> None:
    parts = method.get("parts") if method.get("name") == "combine" else None
    if not isinstance(parts, list):
        raise SettingsError(
            f"'{WITHOUT}{part}' takes a part away, but the method has none.",
            where=where,
            fix="It goes with method: {name: combine, …}.",
        )
    names = [each.get("name") for each in parts if isinstance(each, Mapping)]
    if part not in names:
        raise SettingsError(
            f"the method has no part '{part}'.",
            where=where,
            fix=nearest(part, [str(name) for name in names]),
        )
    if set(names) == {part}:
        raise SettingsError(
            f"without '{part}' nothing is left of the method.",
            where=where,
            fix="The control `none` shows that.",
        )


def swapped(decided: Tensor, generator: torch.Generator) -> Tensor:
    """Return for each row the row whose answer it gets instead: another one that the teacher
    decides alike, as long as there is one.

    The decisions stay what they were, so that only what the teacher knows of this very row is lost.
    No label is looked at.

    Args:
        decided: The class that the teacher decides for in each row, [N].
        generator: Draws who gets whose.

    Returns:
        Positions [N], int64, a permutation.
    """
    order = torch.arange(len(decided))
    for decision in range(int(decided.max()) + 1 if len(decided) else 0):
        own = torch.nonzero(decided == decision).flatten()
        drawn = own[torch.randperm(len(own), generator=generator)]
        order[drawn] = drawn.roll(1)
    return order


def swapped_labels(answers: Tensor, generator: torch.Generator) -> Tensor:
    """Return the same of several labels a row, label by label: rows with the same decision of all
    labels are too few to swap among.

    Args:
        answers: The teacher's log-odds [N, L].
        generator: Draws who gets whose.

    Returns:
        Positions [N, L], int64, each column a permutation.
    """
    order = torch.arange(len(answers))[:, None].repeat(1, answers.shape[1])
    for at in range(answers.shape[1]):
        for decision in (True, False):
            own = torch.nonzero((answers[:, at] > 0) == decision).flatten()
            drawn = own[torch.randperm(len(own), generator=generator)]
            order[drawn, at] = drawn.roll(1)
    return order


class SmoothedLabels(Objective):
    """Learns from labels that leave some probability to the other classes: what a teacher that
    knows nothing of a row would say of it.

    Args:
        smoothing: Probability that is spread evenly over all classes, or over the yes and no of
            each label.
        task: What is predicted.
        weights: Of the labels, by class [C]; None: all 1.

    Raises:
        SettingsError: What is predicted is neither a class nor labels.

    Source:
        Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    answer_alone = True
    weights: Tensor | None

    def __init__(
        self, smoothing: float, task: Task = CLASSIFICATION, weights: Tensor | None = None
    ) -> None:
        super().__init__()
        if not task.right_or_wrong:
            raise SettingsError(
                f"'smooth' spreads a label over classes, but {task.why_no_decision}.",
                where="distill.controls",
                fix="Leave it out.",
            )
        self.smoothing, self.task = smoothing, task
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, model: Classifier, batch: Batch) -> Tensor:
        if isinstance(self.task, MultiLabel):
            total = self.task.smoothed(model(batch.inputs), batch.targets, self.smoothing)
            return total / mass(batch, None)
        total = F.cross_entropy(
            model(batch.inputs),
            batch.targets,
            self.weights,
            ignore_index=-1,
            reduction="sum",
            label_smoothing=self.smoothing,
        )
        return total / mass(batch, self.weights)
