"""Everything that a receipt is made of: what the earlier steps stored, read once and named, so that
the rest of the room is pure functions of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from stillhouse.data.dataset import known
from stillhouse.data.schema import Schema
from stillhouse.evaluation.tasks import Task, task_of

Json = dict[str, Any]
SHIPPED = "student"  # the arm whose seed 0 is exported
CONTROLS = ("none", "hard")


@dataclass(frozen=True)
class Outcomes:
    """Stored results of a run. N test rows, C classes.

    Attributes:
        model: Its name in params.yaml.
        schema: What a row is.
        data: Fingerprint, source, counts of rows, warnings.
        inputs: Test rows [N, *shape], data space.
        targets: [N], the truth, where it is known.
        rows: [N], the row's number in its source.
        validation: Expectations and leakage.
        teacher: Name, parameters, fingerprint.
        teacher_logits: [N, C].
        knowledge: Fingerprint and size of the stored answers.
        studies: arm → study of the search.
        student: Architecture, parameters, MACs.
        arms: Name, settings, seeds and steps of each arm.
        arm_logits: `<arm>/<seed>/test_logits` → [N, C].
        curves: arm → seed → {loss, val_accuracy, step}, a point each.
        edge: Sizes, parity, MACs of the exported files.
        logits: [N, C], what the exported ONNX answers; this is what ships.
        latency: Clocks of the exported files.
        right_under: `clean`, `attack/<label>` and `corruption/<name>/<severity>` → [N], 1 where the
            answer stays right.
        robustness: Settings and curves of the attacks and corruptions.
        verdict: Rules, alpha, the student's fingerprint.
        champion: The version in production with its head, or None.
        champion_logits: [N, C], the champion asked again on today's rows; None when there is none.
        seconds: step → seconds of work.
        slice_rows: `slice/<place in verdict.slices>` → [N], 1 where the row is in it.
        unlike: Kind → what the student answers to rows that no source would give, [M, C].
        transfer: What a selector kept from the student; None where it was told everything.
        training: arm → seconds of one of its trainings, a mean.
        groups: [N], the group of each test row, where whole groups were held out; None otherwise.
    """

    model: str
    schema: Schema
    data: Json
    inputs: Tensor
    targets: Tensor
    rows: Tensor
    validation: Json
    teacher: Json
    teacher_logits: Tensor
    knowledge: Json
    studies: Json
    student: Json
    arms: list[Json]
    arm_logits: Mapping[str, Tensor]
    curves: Json
    edge: Json
    logits: Tensor
    latency: Json
    right_under: Mapping[str, Tensor]
    robustness: Json
    verdict: Json
    champion: Json | None
    champion_logits: Tensor | None
    seconds: Mapping[str, float]
    slice_rows: Mapping[str, Tensor] = field(default_factory=dict)
    unlike: Mapping[str, Tensor] = field(default_factory=dict)
    transfer: Json | None = None
    training: Mapping[str, float] = field(default_factory=dict)
    groups: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """Whether a row's truth is known, bool [N]; only those are counted."""
        return known(self.targets)

    @property
    def task(self) -> Task:
        """What is predicted."""
        return task_of(self.schema)

    def merit(self, logits: Tensor) -> Tensor:
        """Return how good each answer to a row with a truth is, [N known]; more is better."""
        return self.task.merit(logits[self.known], self.targets[self.known])

    def measured(self, logits: Tensor) -> list[float]:
        """Return [low, estimate, high] at 95 % of what a model is compared by."""
        told = self.task.report(logits, self.targets, self.schema)
        return list(told[self.task.measure.key])

    def right(self, logits: Tensor) -> Tensor:
        """Return whether each row with a truth is answered rightly, bool [N known]; of several
        labels a row all of them.
        """
        return self.merit(logits)

    def same(self, logits: Tensor, others: Tensor) -> Tensor:
        """Return whether two models answer each row with a truth alike, bool [N known].

        Raises:
            TypeError: No answer is right or wrong here.
        """
        alike = self.task.alike(logits[self.known], others[self.known])
        if alike is None:
            raise TypeError(f"a {self.task.words} has no answers that are alike")
        return alike

    def of_known(self, right: Tensor) -> Tensor:
        """Return an outcome [N] of the rows whose truth is known; one that has only those is left
        as it is.
        """
        return right[self.known] if len(right) == len(self.targets) else right

    def seeds(self, arm: str) -> list[int]:
        """Return the seeds of an arm, sorted; none if the arm was not trained."""
        return sorted(
            int(seed) for entry in self.arms if entry["name"] == arm for seed in entry["seeds"]
        )

    def of(self, arm: str, seed: int) -> Tensor:
        """Return an arm's test logits [N, C]."""
        return self.arm_logits[f"{arm}/{seed}/test_logits"]
