"""A student that gives several labels a row, under corruption and under attack: on which rows every
label stays right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.attacks.pgd import PGD
from stillhouse.attacks.run import frozen
from stillhouse.attacks.threat import Threat
from stillhouse.evaluation import labels
from stillhouse.evaluation.intervals import bootstrap, proportion
from stillhouse.robustness.adversarial import Result, worst
from stillhouse.robustness.case import Case
from stillhouse.robustness.corruption import SEVERITIES, Corruption
from stillhouse.robustness.subject import Subject

Tell = Callable[[Tensor], Tensor]


def weakest(odds: Tensor, targets: Tensor) -> Tensor:
    """Return how far each row is from its first wrong label, [B]: the smallest of its known labels'
    log-odds, each with the sign that makes it right; 0 or below where one is wrong already.

    Args:
        odds: [B, L].
        targets: [B, L], of each row at least one known.
    """
    right = torch.where(targets == 1, odds, -odds)
    return right.masked_fill(targets.isnan(), torch.inf).amin(dim=1)


def turn(tell: Tell, inputs: Tensor, targets: Tensor, threat: Threat, *, steps: int = 20) -> Tensor:
    """Return for each row the point nearest to a wrong label that was met on two climbs: one that
    lowers the weakest label of the moment, and one that raises the cross entropy of all of them.

    The first ends where one label turns, and goes astray where two are as weak; the second moves
    all of them, and wastes its steps on labels that are wrong already.

    Args:
        tell: Rows [B, *shape] to log-odds [B, L]; differentiable.
        inputs: Clean rows.
        targets: [B, L]; NaN where nobody knows.
        threat: linf, l2 or l1.
        steps: Of each climb, of 2.5 · epsilon / steps.

    Source:
        Madry et al. 2018, arXiv:1706.06083, section 2.1; the weakest label as the target of each
        step is the untargeted form of Song, Jin, Huang and Hu 2018, arXiv:1805.04680, section 4.
    """
    best = inputs.clone()
    with torch.no_grad():
        nearest = weakest(tell(inputs), targets)
    for falls in (weakest, lambda odds, truth: -labels.nll_rows(odds, truth)):
        at = inputs
        for _ in range(steps + 1):
            with torch.enable_grad():
                moved = at.detach().clone().requires_grad_(True)
                odds = tell(moved)
                [gradient] = torch.autograd.grad(falls(odds, targets).sum(), moved)
            left = weakest(odds.detach(), targets)
            nearer = left < nearest
            best[nearer], nearest[nearer] = at[nearer], left[nearer]
            step = threat.steepest(-gradient, inputs)
            at = threat.project(at + 2.5 * threat.epsilon / steps * step, inputs)
    return threat.snap(best, inputs)


@dataclass(frozen=True)
class Turned:
    """What was found.

    Attributes:
        clean: [N], bool: every label right on the rows as they are.
        attacks: One an attack.
        under: By corruption, [5, N], bool, by severity.
    """

    clean: Tensor
    attacks: Sequence[Result]
    under: Mapping[str, Tensor]

    def outcomes(self) -> dict[str, Tensor]:
        """Return u8 [N] by `clean`, `attack/<label>` and `corruption/<name>/<severity>`: 1 where
        every label is still right.
        """
        attacks = {f"attack/{one.case.label}": one.still for one in self.attacks}
        shifts = {
            f"corruption/{name}/{severity}": right[at]
            for name, right in self.under.items()
            for at, severity in enumerate(SEVERITIES)
        }
        return {
            name: still.to(torch.uint8)
            for name, still in {"clean": self.clean, **attacks, **shifts}.items()
        }

    def as_dict(self, seed: int) -> dict[str, Any]:
        """Return JSON's form of it; exact intervals of single outcomes, resampled rows of means
        over severities.

        Args:
            seed: Of the resampled rows.
        """
        attacks = [
            {**one.case.as_dict(), "exact_match": list(one.accuracy)} for one in self.attacks
        ]
        return {
            "rows": len(self.clean),
            "clean": list(_share(self.clean)),
            "attacks": attacks,
            "worst": {
                norm: list(_share(still)) for norm, still in sorted(worst(self.attacks).items())
            },
            "corruptions": [_shift(name, right, seed) for name, right in self.under.items()],
        }

    def metrics(self) -> dict[str, float]:
        """Return estimates by metric path."""
        found = {"robust/clean/exact_match": _share(self.clean)[1]}
        found |= {f"robust/{one.case.label}/exact_match": one.accuracy[1] for one in self.attacks}
        found |= {
            f"robust/{norm}/exact_match": _share(still)[1]
            for norm, still in worst(self.attacks).items()
        }
        means = {name: float(right.double().mean()) for name, right in self.under.items()}
        found |= {f"corruption/{name}/exact_match": mean for name, mean in means.items()}
        if means:
            found["corruption/mean_exact_match"] = sum(means.values()) / len(means)
            found["corruption/worst_exact_match"] = min(
                float(by) for right in self.under.values() for by in right.double().mean(dim=1)
            )
        return found


def _share(right: Tensor) -> tuple[float, float, float]:
    return proportion(int(right.sum()), len(right))


def _shift(name: str, right: Tensor, seed: int) -> dict[str, Any]:
    by_row = right.double().mean(dim=0)[:, None]
    return {
        "name": name,
        "severities": list(SEVERITIES),
        "exact_match": list(bootstrap(by_row, lambda sums: sums[:, 0] / len(by_row), seed=seed)),
        "exact_match_by_severity": right.double().mean(dim=1).tolist(),
    }


def turned(
    subject: Subject, cases: Sequence[Case], corruptions: Mapping[str, Corruption]
) -> Turned:
    """Attack and corrupt a subject's rows; the deployed model has the last word on every one.

    Args:
        subject: On whom; targets are labels [N, L].
        cases: PGD each.
        corruptions: By name; they take such rows.

    Raises:
        CorruptionFailed: One returned what no model can be asked about.
    """

    def right(inputs: Tensor) -> Tensor:
        return labels.exact_rows(subject.answer(inputs), subject.targets)

    clean = right(subject.inputs)
    attacks = []
    for case in cases:
        steps = case.attack.steps if isinstance(case.attack, PGD) else PGD().steps
        with frozen(subject.model):
            moved = turn(
                subject.model,
                subject.inputs,
                subject.targets,
                case.threat(subject.space),
                steps=steps,
            )
        attacks.append(Result(case, clean & right(moved), moved))
    under = {
        name: torch.stack([right(inputs) for inputs in subject.under(name, corruption)])
        for name, corruption in corruptions.items()
    }
    return Turned(clean, attacks, under)
