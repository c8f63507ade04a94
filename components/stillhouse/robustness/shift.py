"""A subject under corruption: which rows stay right, and whether its confidence still means
anything.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.evaluation.intervals import bootstrap
from stillhouse.evaluation.metrics import correct, ece
from stillhouse.robustness.corruption import SEVERITIES, Corruption
from stillhouse.robustness.subject import Subject


@dataclass(frozen=True)
class Shift:
    """What a corruption came to.

    Attributes:
        name: The plugin's.
        right: [5, N], bool, by severity.
        ece: By severity.
    """

    name: str
    right: Tensor
    ece: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """The share of rows that are right, over all severities."""
        return float(self.right.double().mean())

    def as_dict(self, seed: int) -> dict[str, Any]:
        """Return JSON's form of it; `accuracy` has the interval of resampled rows, each with its
        five severities.

        Args:
            seed: Of the resampled rows.
        """
        by_row = self.right.double().mean(dim=0)[:, None]
        return {
            "name": self.name,
            "severities": list(SEVERITIES),
            "accuracy": list(bootstrap(by_row, lambda sums: sums[:, 0] / len(by_row), seed=seed)),
            "accuracy_by_severity": self.right.double().mean(dim=1).tolist(),
            "ece_by_severity": list(self.ece),
        }


def shifted(name: str, corruption: Corruption, subject: Subject) -> Shift:
    """Ask the deployed model about rows under all five severities.

    Raises:
        CorruptionFailed: It returned what no model can be asked about.
    """
    right, errors = [], []
    for inputs in subject.under(name, corruption):
        logits = subject.answer(inputs)
        right.append(correct(logits, subject.targets))
        errors.append(ece(logits, subject.targets))
    return Shift(name, torch.stack(right), tuple(errors))
