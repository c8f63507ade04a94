"""Several labels a row, each a yes or no of its own: outputs are log-odds.

Models are compared by the exact match, the share of rows with every label right: of the usual
numbers it alone is right or wrong of each row, so that exact intervals and paired tests hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.evaluation import labels
from stillhouse.evaluation.label_points import called
from stillhouse.evaluation.measure import Measure
from stillhouse.evaluation.task import Task

LARGEST = 60_000.0  # fp16 ends at 65,504; log-odds that large are certain


class MultiLabel(Task):
    """Which of several labels a row has. A label that nobody knows (NaN) counts nowhere."""

    name = "multi_label"
    words = "task of several labels a row"
    output = "log_odds"
    aim = "val/map"
    scalars: tuple[str, ...] = labels.SCALARS
    measure = Measure("exact_match", "Exact match", "%", 100.0, more_is_better=True)
    gated = ("exact_match", "hamming_loss", "micro_f1", "macro_f1", "map", "macro_auc")
    score = "exact_match"
    decides = False
    why_no_decision = "a row has several labels, and no one class is decided for"
    instead: ClassVar[Mapping[str, str]] = {
        "method": "Write method: {name: multi_label} (as sure as the teacher is of each label) or "
        "{name: ce} (its decisions).",
        "selector": "Write selector: {name: all}.",
    }
    controls: ClassVar[Mapping[str, tuple[str, str]]] = {
        "none": ("The teacher", "over labels alone"),
        "hard": ("The teacher's confidences", "beyond its decisions"),
        "smooth": ("The teacher", "over smoothed labels"),
        "shuffled": (
            "What the teacher knows of a single row",
            "beyond what it says of all rows that it gives a label",
        ),
    }
    hard = "its decisions, no confidences"
    moved_unit = "a probability"

    def total(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.each(outputs, targets, weights).sum()

    def each(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The sum over the labels that are known of the cross entropy of each, nats."""
        if weights is not None:
            raise TypeError("several labels a row have no class weights")
        return labels.nll_rows(outputs, targets)

    def smoothed(self, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Return the same sum over all rows, where a yes is 1 − smoothing / 2 and a no smoothing /
        2.
        """
        return labels.nll_rows(outputs, targets * (1 - smoothing) + smoothing / 2).sum()

    def follow(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        said = labels.decided(teacher).to(outputs)
        return F.binary_cross_entropy_with_logits(outputs, said, reduction="none").sum(dim=-1)

    def stored(self, outputs: Tensor) -> Tensor:
        """Log-odds as fp16, which keeps a probability to three digits that count."""
        return outputs.double().clamp(-LARGEST, LARGEST).half()

    def merit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether every label that is known is right."""
        return labels.exact_rows(outputs, targets)

    def moved(self, outputs: Tensor, others: Tensor) -> Tensor:
        return (outputs.sigmoid() - others.sigmoid()).abs().amax(dim=1)

    def alike(self, outputs: Tensor, others: Tensor) -> Tensor | None:
        return (labels.decided(outputs) == labels.decided(others)).all(dim=1)

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return labels.scores(outputs, targets)

    def curve(self, outputs: Tensor, targets: Tensor) -> tuple[float, float]:
        right = labels.exact_rows(outputs, targets).double().mean()
        return float(right), float(labels.nll_rows(outputs.double(), targets.double()).mean())

    def report(self, outputs: Tensor, targets: Tensor, schema: Schema) -> dict[str, Any]:
        return labels.report(outputs, targets, schema.labels)

    def answers(
        self, outputs: Tensor, schema: Schema, thresholds: Sequence[float] = ()
    ) -> list[Mapping[str, Any]]:
        given = labels.decided(called(outputs, thresholds) if thresholds else outputs)
        return [
            {
                "labels": [name for name, own in zip(schema.labels, said, strict=True) if own],
                "probabilities": {
                    name: round(own, 6) for name, own in zip(schema.labels, row, strict=True)
                },
            }
            for said, row in zip(given.tolist(), outputs.double().sigmoid().tolist(), strict=True)
        ]
