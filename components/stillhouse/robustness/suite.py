"""The whole examination: attacks, the teacher's adversarial rows, curves, corruptions; outcomes are
kept row by row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.attacks.attack import FOLLOWED
from stillhouse.attacks.run import frozen
from stillhouse.robustness.adversarial import (
    Result,
    as_json,
    attacked,
    crossing,
    curve,
    from_teacher,
    share,
    transfers,
    worst,
)
from stillhouse.robustness.case import Case
from stillhouse.robustness.certified import Certified, certify
from stillhouse.robustness.corruption import SEVERITIES, Corruption
from stillhouse.robustness.kept import Keep, anew
from stillhouse.robustness.masking import Alarm, after, alarmed, examined, widest
from stillhouse.robustness.shift import Shift, shifted
from stillhouse.robustness.subject import Subject

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Suite:
    """What to examine.

    Attributes:
        cases: Attacks that take such rows.
        corruptions: By name; they take such rows.
        surrogate: The teacher's torch model; None where it has none.
        no_surrogate: Why there is none.
        not_measured: What was left out before, with the reason.
        done: Attacks that were made before, on all rows.
        keep: What becomes of an attack that is finished.
    """

    cases: Sequence[Case]
    corruptions: Mapping[str, Corruption]
    surrogate: nn.Module | None
    no_surrogate: str = ""
    not_measured: Sequence[Mapping[str, str]] = ()
    done: Sequence[Result] = ()
    keep: Keep = anew


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        clean: [N], bool: right unattacked.
        results: One an attack, transfers last.
        crossed: Of each transfer, how many of the teacher's adversarial rows fool the student.
        curves: One a norm.
        shifts: One a corruption.
        not_measured: What could not be, with the reason.
        alarms: Signs that attacks were misled; empty where none could be looked for.
        certified: What no attack inside the largest ball can change; None where nothing could be
            proved.
        uncertified: Why nothing could be.
    """

    clean: Tensor
    results: Sequence[Result]
    crossed: Sequence[Mapping[str, Any]]
    curves: Sequence[Mapping[str, Any]]
    shifts: Sequence[Shift]
    not_measured: Sequence[Mapping[str, str]]
    alarms: Sequence[Alarm] = ()
    certified: Certified | None = None
    uncertified: str = ""

    def outcomes(self) -> dict[str, Tensor]:
        """Return u8 [N] by `clean`, `attack/<label>` and `corruption/<name>/<severity>`: 1 where
        the row is still right.
        """
        attacks = {f"attack/{result.case.label}": result.still for result in self.results}
        shifts = {
            f"corruption/{shift.name}/{severity}": shift.right[at]
            for shift in self.shifts
            for at, severity in enumerate(SEVERITIES)
        }
        return {
            name: still.to(torch.uint8)
            for name, still in {"clean": self.clean, **attacks, **shifts}.items()
        }

    def as_dict(self, seed: int) -> dict[str, Any]:
        """Return JSON's form of it.

        Args:
            seed: Of resampled rows.
        """
        return {
            "rows": len(self.clean),
            "clean": list(share(self.clean)) if len(self.clean) else None,
            "attacks": as_json(self.results),
            "worst": {
                norm: list(share(still)) for norm, still in sorted(worst(self.results).items())
            },
            "transfer": list(self.crossed),
            "curves": list(self.curves),
            "corruptions": [shift.as_dict(seed) for shift in self.shifts],
            "not_measured": list(self.not_measured),
            "masking": [alarm.as_dict() for alarm in self.alarms],
            "certified": {"reason": self.uncertified}
            if self.certified is None
            else self._bracket(self.certified),
        }

    def _bracket(self, certified: Certified) -> dict[str, Any]:
        """Return how many rows are proved to hold, beside how many no attack has moved yet: the
        truth lies between the two.
        """
        attacked = worst([one for one in self.results if one.case.ball == certified.ball]).get(
            certified.ball.norm
        )
        return {
            "norm": certified.ball.norm,
            "epsilon": certified.ball.told,
            "method": certified.method,
            "certified": list(share(self.clean & certified.holds)),
            "attacked": None if attacked is None else list(share(attacked)),
        }

    def metrics(self) -> dict[str, float]:
        """Return estimates by metric path; what was not measured has none."""
        found = {"robust/clean/accuracy": share(self.clean)[1]}
        if self.alarms:
            found["robust/masking/alarms"] = float(len(alarmed(self.alarms)))
        if self.certified is not None:
            found["robust/certified/accuracy"] = share(self.clean & self.certified.holds)[1]
        found |= {
            f"robust/{result.case.label}/accuracy": result.accuracy[1] for result in self.results
        }
        found |= {
            f"robust/{norm}/accuracy": share(still)[1]
            for norm, still in worst(self.results).items()
        }
        for shift in self.shifts:
            found[f"corruption/{shift.name}/accuracy"] = shift.accuracy
            found[f"corruption/{shift.name}/ece"] = sum(shift.ece) / len(shift.ece)
        if self.shifts:
            found["corruption/mean_accuracy"] = sum(shift.accuracy for shift in self.shifts) / len(
                self.shifts
            )
            worst_of = min(float(right) for s in self.shifts for right in s.right.double().mean(1))
            found["corruption/worst_accuracy"] = worst_of
            clean = found["robust/clean/accuracy"]
            if clean:
                mean = found["corruption/mean_accuracy"]
                found["corruption/relative_accuracy"] = mean / clean
            found["corruption/mean_ece"] = sum(
                found[f"corruption/{shift.name}/ece"] for shift in self.shifts
            ) / len(self.shifts)
        return found


def examine(subject: Subject, suite: Suite, progress: Progress) -> Findings:
    """Run the suite on a subject.

    Raises:
        UsageError: An attack needs a surrogate and the teacher is none.
        AttackFailed: An attack returned what cannot be judged.
        CorruptionFailed: A corruption did.
    """
    missing = list(suite.not_measured)
    extra = transfers(suite.cases)
    if extra and suite.surrogate is None:
        missing.append({"name": "transfer", "reason": suite.no_surrogate})
        extra = []
    cases = [*suite.cases, *extra]
    norms = sorted({case.ball.norm for case in suite.cases} & FOLLOWED)
    total = len(suite.done) + len(cases) + len(norms) + len(suite.corruptions)
    clean = subject.right(subject.inputs)
    results = list(suite.done)
    curves: list[Mapping[str, Any]] = []
    shifts: list[Shift] = []
    ball = widest(suite.cases)
    alarms = [] if ball is None else examined(ball, subject, clean)
    more = [] if ball is None else after(alarms, ball)
    total += len(more)
    for case in [*cases, *more]:
        progress(len(results), total, case.label)
        make = partial(attacked, case, subject, clean, suite.surrogate)
        results.append(suite.keep(case, make))
    for norm in norms:
        progress(len(results) + len(curves), total, f"{norm} by epsilon")
        curves.append(curve(results, norm, subject, clean))
    for name, corruption in suite.corruptions.items():
        progress(len(results) + len(curves) + len(shifts), total, name)
        shifts.append(shifted(name, corruption, subject))
    certified, why = None, "no ball is attacked."
    if ball is not None:
        progress(len(results) + len(curves) + len(shifts), total, "bounds")
        fell = [one.still for one in results if one.case.ball == ball]  # nothing is proved of those
        certified, why = certify(ball, subject, torch.stack([clean, *fell]).all(dim=0))
    progress(total, total, "done")
    crossed = _crossed(results, subject, clean, suite.surrogate)
    return Findings(clean, results, crossed, curves, shifts, missing, alarms, certified, why)


def _crossed(
    results: Sequence[Result], subject: Subject, clean: Tensor, surrogate: nn.Module | None
) -> list[dict[str, Any]]:
    if surrogate is None:
        return []
    with frozen(surrogate):
        return [
            crossing(result, subject, clean, surrogate)
            for result in results
            if from_teacher(result.case)
        ]
