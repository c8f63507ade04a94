"""The plain student under the same attacks: without it, nobody knows what a robust one has gained
and what it has paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from stillhouse.robustness.adversarial import Result, as_json, attacked, share, worst
from stillhouse.robustness.case import Case
from stillhouse.robustness.subject import Subject


@dataclass(frozen=True)
class Beside:
    """What a model that does not ship withstands.

    Attributes:
        clean: [N], bool: right unattacked.
        results: One an attack.
    """

    clean: Tensor
    results: Sequence[Result]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {
            "clean": list(share(self.clean)),
            "attacks": as_json(self.results),
            "worst": {
                norm: list(share(still)) for norm, still in sorted(worst(self.results).items())
            },
        }

    def metrics(self) -> dict[str, float]:
        """Return estimates by metric path."""
        found = {"plain/clean/accuracy": share(self.clean)[1]}
        for norm, still in worst(self.results).items():
            found[f"plain/{norm}/accuracy"] = share(still)[1]
        return found


def beside(subject: Subject, cases: Sequence[Case], surrogate: nn.Module | None) -> Beside:
    """Attack a model as the one that ships is attacked, on the same rows from the same seeds.

    Args:
        subject: The model; its own torch answers decide.
        cases: The attacks.
        surrogate: The teacher, for attacks that need one. Errors as `run_attack`.
    """
    clean = subject.right(subject.inputs)
    return Beside(clean, [attacked(case, subject, clean, surrogate) for case in cases])
