"""Evidence from outcomes: logits of every model on the test rows, what attacks and corruptions left
right, and what export measured.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from stillhouse.data.dataset import known
from stillhouse.evaluation import label_trust
from stillhouse.evaluation import metrics as evaluation
from stillhouse.evaluation.tasks import CLASSIFICATION, Classification, Regression, Task
from stillhouse.gating import label_points, metrics, quantities, several, trusted, two_classes
from stillhouse.gating.evidence import Evidence, Exact, Measured, Partly, Resampled, Rows, Settled
from stillhouse.gating.resampled import resample
from stillhouse.gating.two_classes import Point


@dataclass(frozen=True)
class Outcomes:
    """What earlier steps left behind, on N test rows.

    Attributes:
        targets: [N]; rows without one are left out everywhere.
        logits: By model, [N, C]: student and whoever else was asked.
        int8: Logits of the quantised student [N, C]; None where it could not be quantised.
        robust: `attack/<label>` and `corruption/<name>/<severity>`, [N], 1 where the student is
            right all the same.
        norms: By attack label: which worst case over attacks it belongs to.
        exact: By metric: what has no doubt.
        not_measured: Why something could not be, by the name of the attack or corruption.
        task: What is predicted.
        point: Where models of two classes say yes; None where there are not two.
        label_points: From which probability on each model gives each of several labels [L]; empty
            where it is one half.
        classes: Their names, or the labels'; empty where none are told apart by name.
        slices: Rows [N], bool, of the slices that val made doubtful, by name.
        unlike: The student's logits [M, C] on rows unlike all others, by their kind.
        partly: What was seen under attack before the suite was stopped, by norm.
        versus: Student and champion under the attacks that both were under, by norm.
        unattacked: Why the champion was under none, by norm.
    """

    targets: Tensor
    logits: Mapping[str, Tensor]
    int8: Tensor | None = None
    robust: Mapping[str, Tensor] = field(default_factory=dict)
    norms: Mapping[str, str] = field(default_factory=dict)
    exact: Mapping[str, float] = field(default_factory=dict)
    not_measured: Mapping[str, str] = field(default_factory=dict)
    task: Task = CLASSIFICATION
    point: Point | None = None
    label_points: Mapping[str, Sequence[float]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    slices: Mapping[str, Tensor] = field(default_factory=dict)
    unlike: Mapping[str, Tensor] = field(default_factory=dict)
    partly: Mapping[str, Partly] = field(default_factory=dict)
    versus: Mapping[str, Rows | Settled] = field(default_factory=dict)
    unattacked: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> Tensor:
        """[N], bool: rows with a target."""
        return known(self.targets)

    def right(self, logits: Tensor) -> Tensor:
        """Return whether each known row is answered rightly, bool: its largest logit is its
        target's, or each of its labels is right.
        """
        return self.task.merit(logits[self.known], self.targets[self.known])


def collect(
    found: Outcomes,
    asked: Collection[str] = (),
    *,
    champion: str | None = None,
    incomparable: str = "",
    frozen: Tensor | None = None,
) -> Evidence:
    """Return the evidence.

    Args:
        found: Outcomes of earlier steps.
        asked: Metrics that rules name; of those that cost resampling only these are made.
        champion: What is in production, in words; None if nothing is.
        incomparable: Why it could not be asked today's rows.
        frozen: Which test rows [N] it was tested on, bool; None where all are, or nobody knows.
    """
    measured: dict[str, Measured] = {
        name: Exact(float(value)) for name, value in found.exact.items() if name in metrics.EXACT
    }
    measured.update(OF_TASK[found.task.name](found, asked))
    return Evidence(
        measured,
        int(found.known.sum()),
        _unmeasured(found, measured, asked, incomparable),
        champion,
        incomparable,
        None if frozen is None else frozen[found.known].numpy(),
        {f"robust/{norm}/accuracy": seen for norm, seen in found.versus.items()},
    )


def _of_classes(found: Outcomes, asked: Collection[str]) -> dict[str, Measured]:
    two: dict[str, Measured] = {}
    if found.point is not None:
        known_logits = {who: logits[found.known] for who, logits in found.logits.items()}
        two = two_classes.measured(
            cast(Classification, found.task),
            known_logits,
            found.targets[found.known],
            found.point,
        )
    return {
        **two,
        "test/accuracy": Rows(
            {who: found.right(logits).numpy() for who, logits in found.logits.items()}
        ),
        **{name: _resampled(name, found) for name in RESAMPLED if name in asked},
        **trusted.measured(found, asked),
        **_int8(found),
        **_attacks(found),
        **{f"robust/{norm}/accuracy": seen for norm, seen in found.partly.items()},
        **_corruptions(found),
    }


def _of_quantities(found: Outcomes, asked: Collection[str]) -> dict[str, Measured]:  # noqa: ARG001
    task = cast(Regression, found.task)
    outputs = {who: told[found.known] for who, told in found.logits.items()}
    own = quantities.measured(task, outputs, found.targets[found.known])
    own |= quantities.corrupted(task, found.robust)
    if found.int8 is None:
        return own
    small = quantities.measured(
        task, {"student": found.int8[found.known]}, found.targets[found.known]
    )
    return {**own, "edge/int8_mae": small["test/mae"]}


def _of_labels(found: Outcomes, asked: Collection[str]) -> dict[str, Measured]:
    under = {**_attacks(found), **_corruptions(found)}
    renamed = {name.replace("accuracy", found.task.measure.key): of for name, of in under.items()}
    return {**several.measured(found, asked), **renamed}


OF_TASK: Mapping[str, Callable[[Outcomes, Collection[str]], dict[str, Measured]]] = {
    "classification": _of_classes,
    "regression": _of_quantities,
    "multi_label": _of_labels,
}
FLIPS = (*trusted.FLIPS, "flips/worst_label")
RESAMPLED = ("test/balanced_accuracy", "test/nll", "test/brier", "test/ece")


def _resampled(name: str, found: Outcomes) -> Resampled:
    logits, targets = found.logits["student"][found.known], found.targets[found.known]
    n = len(targets)
    if name == "test/balanced_accuracy":
        return resample(evaluation.balanced_parts(logits, targets), evaluation.balanced_of_sums)
    if name == "test/ece":
        return resample(
            evaluation.ece_parts(logits, targets), lambda sums: evaluation.ece_of_sums(sums, n)
        )
    rows = (
        evaluation.nll_rows(logits, targets)
        if name == "test/nll"
        else evaluation.brier_rows(logits, targets)
    )
    return _mean(rows)


def _mean(rows: Tensor) -> Resampled:
    n = len(rows)
    return resample(rows.double()[:, None], lambda sums: sums[:, 0] / n)


def _int8(found: Outcomes) -> dict[str, Measured]:
    if found.int8 is None:
        return {}
    student = found.logits["student"][found.known].argmax(dim=1)
    agrees = student == found.int8[found.known].argmax(dim=1)
    return {
        "edge/int8_agreement": Rows({"student": agrees.numpy()}),
        "edge/int8_accuracy": Rows({"student": found.right(found.int8).numpy()}),
    }


def _attacks(found: Outcomes) -> dict[str, Measured]:
    """Each attack alone, and by norm the worst over its attacks, row by row."""
    alone = {
        name.removeprefix("attack/"): _known(found, kept)
        for name, kept in found.robust.items()
        if name == "clean" or name.startswith("attack/")
    }
    worst: dict[str, Tensor] = {}
    for label, kept in alone.items():
        norm = found.norms.get(label, "")
        if norm:
            worst[norm] = kept & worst.get(norm, torch.ones_like(kept))
    return {
        f"robust/{name}/accuracy": Rows({"student": kept.numpy()})
        for name, kept in {**alone, **worst}.items()
    }


def _corruptions(found: Outcomes) -> dict[str, Measured]:
    """Each corruption over its severities, and all of them; a row counts with the share of them
    that left it right.
    """
    by_name: dict[str, list[Tensor]] = {}
    for name in sorted(found.robust):
        kind, _, rest = name.partition("/")
        if kind == "corruption":
            by_name.setdefault(rest.rpartition("/")[0], []).append(
                _known(found, found.robust[name])
            )
    measured: dict[str, Measured] = {
        f"corruption/{name}/accuracy": _over(kept) for name, kept in by_name.items()
    }
    if by_name:
        measured["corruption/mean_accuracy"] = _over(
            [torch.stack(kept).double().mean(dim=0) for kept in by_name.values()]
        )
    return measured


def _over(kept: list[Tensor]) -> Measured:
    if len(kept) == 1 and kept[0].dtype == torch.bool:
        return Rows({"student": kept[0].numpy()})
    return _mean(torch.stack(kept).double().mean(dim=0))


def _known(found: Outcomes, kept: Tensor) -> Tensor:
    return (kept[found.known] if len(kept) == len(found.targets) else kept) == 1


def _unmeasured(
    found: Outcomes,
    measured: Mapping[str, Measured],
    asked: Collection[str],
    incomparable: str,
) -> dict[str, str]:
    """Say why a metric that exists, and that a rule may have asked for, has no value in this
    run.
    """
    names = {
        name for name in (*metrics.CATALOGUE, *asked) if metrics.find(name) and name not in measured
    }
    told = dict.fromkeys(FLIPS, incomparable) if incomparable else {}
    told |= {f"robust/{norm}/accuracy": why for norm, why in found.unattacked.items()}
    return {name: told.get(name) or _why(name, found) for name in sorted({*names, *told})}


def _why(name: str, found: Outcomes) -> str:
    kind, _, rest = name.partition("/")
    of_metric = metrics.find(name)
    if of_metric is not None and found.task.name not in of_metric.tasks:
        return f"this is a {found.task.words}, which has no {name}."
    if name in two_classes.NAMES:
        return (
            "there are not two classes."
            if found.point is None
            else "the student calls no test row positive."
        )
    if name in label_points.NAMES:
        return (
            "no label has such rows."
            if found.label_points
            else "every label is given from one half on; distill.threshold chooses others."
        )
    if name.startswith("edge/int8"):
        return "the student has no int8 form."
    if name == several.WORST_ECE and not several.calibrated(found.targets):
        return f"no label is known in {label_trust.FEWEST} test rows."
    if name in RESAMPLED or name in trusted.RESAMPLED or name in several.RESAMPLED:
        return "no rule asked for it."
    if name.startswith("flips/") and "champion" not in found.logits:
        return "nothing is in production yet."
    if name.endswith("_slice") or name == "slices/worst":
        return (
            "no test row lies in a slice that val made doubtful."
            if found.slices
            else "val has too few rows to find slices in."
        )
    if name == metrics.DRIFT:
        return "the champion left no statistics of its rows."
    if kind == "edge":
        return "export did not measure it."
    of = rest.partition("/")[0]
    told = [why for about, why in found.not_measured.items() if about in (of, of.partition("_")[0])]
    return told[0] if told else "robustness did not measure it."
