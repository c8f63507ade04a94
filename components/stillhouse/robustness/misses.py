"""A student that tells a quantity under corruption: how much larger its errors become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.evaluation.intervals import bootstrap
from stillhouse.evaluation.tasks import Regression
from stillhouse.robustness.corruption import SEVERITIES, Corruption
from stillhouse.robustness.subject import Subject


@dataclass(frozen=True)
class Missed:
    """What a corruption came to.

    Attributes:
        name: The plugin's.
        errors: [5, N], absolute, by severity, in the target's unit.
    """

    name: str
    errors: Tensor

    @property
    def mae(self) -> float:
        """The mean absolute error over all severities."""
        return float(self.errors.mean())

    def as_dict(self, clean: float, seed: int) -> dict[str, Any]:
        """Return JSON's form of it; `mae` has the interval of resampled rows, each with its five
        severities.

        Args:
            clean: The mean absolute error of the rows as they are.
            seed: Of the resampled rows.
        """
        by_row = self.errors.mean(dim=0)[:, None]
        return {
            "name": self.name,
            "severities": list(SEVERITIES),
            "mae": list(bootstrap(by_row, lambda sums: sums[:, 0] / len(by_row), seed=seed)),
            "mae_by_severity": self.errors.mean(dim=1).tolist(),
            "relative": self.mae / clean if clean else None,
        }


@dataclass(frozen=True)
class Misses:
    """What was found.

    Attributes:
        clean: [N], absolute errors of the rows as they are.
        under: One a corruption.
    """

    clean: Tensor
    under: Sequence[Missed]

    def outcomes(self) -> dict[str, Tensor]:
        """Return absolute errors [N], float32, by `error/clean` and `error/<name>/<severity>`."""
        shifts = {
            f"error/{one.name}/{severity}": one.errors[at].float()
            for one in self.under
            for at, severity in enumerate(SEVERITIES)
        }
        return {"error/clean": self.clean.float(), **shifts}

    def as_dict(self, seed: int) -> dict[str, Any]:
        """Return JSON's form of it."""
        rows, clean = self.clean[:, None], float(self.clean.mean())
        return {
            "clean_mae": list(bootstrap(rows, lambda sums: sums[:, 0] / len(rows), seed=seed)),
            "corruptions": [one.as_dict(clean, seed) for one in self.under],
        }

    def metrics(self) -> dict[str, float]:
        """Return estimates by metric path."""
        clean = float(self.clean.mean())
        found = {"corruption/clean_mae": clean}
        found |= {f"corruption/{one.name}/mae": one.mae for one in self.under}
        if self.under:
            mean = sum(one.mae for one in self.under) / len(self.under)
            found["corruption/mean_mae"] = mean
            found["corruption/worst_mae"] = max(
                float(by) for one in self.under for by in one.errors.mean(dim=1)
            )
            if clean:
                found["corruption/relative_mae"] = mean / clean
        return found


def missed(subject: Subject, task: Regression, corruptions: Mapping[str, Corruption]) -> Misses:
    """Ask the deployed model about the rows as they are, and under every corruption at five
    severities.

    Args:
        subject: Who is asked; targets are quantities.
        task: Which of the answers is the one number.
        corruptions: By name; they take such rows.

    Raises:
        CorruptionFailed: One returned what no model can be asked about.
    """

    def errors(inputs: Tensor) -> Tensor:
        return -task.merit(subject.answer(inputs), subject.targets)

    under = [
        Missed(name, torch.stack([errors(inputs) for inputs in subject.under(name, corruption)]))
        for name, corruption in corruptions.items()
    ]
    return Misses(errors(subject.inputs), under)
