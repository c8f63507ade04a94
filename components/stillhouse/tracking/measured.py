"""What is measured of any classifier for MLflow: numbers with their intervals, tables, and what it
withstands when nothing but its answers is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.attacks.attack import Attack
from stillhouse.attacks.hop_skip_jump import HopSkipJump
from stillhouse.attacks.run import run_attack
from stillhouse.attacks.space import Space
from stillhouse.attacks.square import Square
from stillhouse.attacks.threat import Threat
from stillhouse.evaluation import evaluate, intervals, metrics, slices, trust
from stillhouse.evaluation.traits import cuts, traits
from stillhouse.tracking.answers import Answers, Asked

Columns = dict[str, NDArray[Any]]


@dataclass
class Measured:
    """What was found.

    Attributes:
        numbers: By path.
        tables: By name: rows of plain values.
        left_out: What could not be measured, with the reason.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure(answers: Answers, targets: Tensor, classes: Sequence[Any]) -> Measured:
    """Return everything that answers to labelled rows tell.

    Args:
        answers: To N rows.
        targets: [N], codes.
        classes: C of them.
    """
    found, logits = Measured(), answers.logits
    told = evaluate.report(logits, targets, tuple(map(str, classes)))
    kept = evaluate.SCALARS if answers.graded else ("accuracy", "balanced_accuracy")
    for name in kept:
        low, middle, high = told[name]
        found.numbers |= {name: middle, f"{name}_low": low, f"{name}_high": high}
    found.tables["classes"] = [
        {"class": one["class"], "rows": one["rows"], "right": one["correct"]}
        | dict(zip(("low", "accuracy", "high"), one["interval"] or [None] * 3, strict=True))
        for one in told["per_class"]
    ]
    shares = [one["accuracy"] for one in found.tables["classes"] if one["rows"]]
    found.numbers["worst_class"] = min(shares)
    if not answers.graded:
        why = "the model tells classes only, and not how sure it is of them."
        names = ("nll", "brier", "ece", "adaptive_ece", "aurc", "risk_coverage", "reliability")
        found.left_out |= dict.fromkeys(names, why)
        return found
    found.numbers["adaptive_ece"] = trust.adaptive_ece(logits, targets)
    found.numbers["aurc"] = trust.aurc(logits, targets)
    found.tables["reliability"] = [bin_ for bin_ in told["reliability"] if bin_["rows"]]
    found.tables["risk_coverage"] = [
        {**point._asdict(), "risk": point.wrong / point.rows}
        for point in trust.risk_coverage(logits, targets)
    ]
    return found


def worst_slices(
    columns: Columns, logits: Tensor, targets: Tensor, *, seed: int
) -> list[dict[str, Any]]:
    """Return slices that were found on one half of the rows and confirmed on the other, with
    intervals that hold for all of them together.

    Args:
        columns: Values [N] by name.
        logits: [N, C].
        targets: [N].
        seed: Of the halves.
    """
    n = len(targets)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    first, second = order[: n // 2], order[n // 2 :]
    wrong = ~metrics.correct(logits, targets)
    made = cuts({name: values[first.numpy()] for name, values in columns.items()})
    if not made or len(first) < 2:
        return []
    half = [
        traits({name: values[at.numpy()] for name, values in columns.items()}, made, {})
        for at in (first, second)
    ]
    told = []
    which = slices.search(half[0], wrong[first])
    for one in which:
        inside = half[1].rows(one)
        rows, right = int(inside.sum()), int((inside & ~wrong[second]).sum())
        if rows:
            share = intervals.proportion(right, rows, 1 - 0.05 / len(which))
            told.append(
                {"slice": half[0].name(one), "rows": rows, "right": right}
                | dict(zip(("low", "accuracy", "high"), share, strict=True))
            )
    return told


@dataclass(frozen=True)
class Attempt:
    """How hard to try.

    Attributes:
        norm: linf or l2.
        epsilon: In shares of each column's range.
        rows: At most so many, drawn by `seed`.
        queries: Of each row.
        seed: Of everything random.
    """

    norm: Any = "linf"
    epsilon: float = 0.1
    rows: int = 100
    queries: int = 300
    seed: int = 0


@dataclass(frozen=True)
class Ranges:
    """Columns of numbers, as an attack moves them.

    Attributes:
        inputs: [N, D], above `low`, so that a column far from 0 keeps its precision in float32.
        low: [D], each column's smallest value, float64.
        width: [D], how far the largest lies above it; 0 where nothing may change.
        whole: [D], bool: what holds whole numbers, and does so under attack too.
    """

    inputs: Tensor
    low: Tensor
    width: Tensor
    whole: Tensor


def withstood(
    model: Asked, ranges: Ranges, targets: Tensor, graded: bool, attempt: Attempt
) -> intervals.Interval:
    """Return the share of rows that stay right under a black-box attack, with its exact interval:
    Square where the model says how sure it is, HopSkipJump where it only decides.

    Args:
        model: Takes rows above `ranges.low`.
        ranges: Rows, and how far each column may go.
        targets: [N].
        graded: Whether more than classes is told.
        attempt: How hard to try.
    """
    generator = torch.Generator().manual_seed(attempt.seed)
    drawn = torch.randperm(len(targets), generator=generator)[: attempt.rows]
    own, width = ranges.inputs[drawn], ranges.width
    scale = torch.where(width > 0, width, 1.0)
    space = Space(torch.zeros_like(width), width, scale, scale, width > 0, whole=ranges.whole)
    attack: Attack = (
        Square(queries=attempt.queries)
        if graded
        else HopSkipJump(steps=max(1, attempt.queries // 100), samples=100)
    )
    found = run_attack(
        attack,
        model,
        own,
        targets[drawn],
        threat=Threat(attempt.norm, attempt.epsilon, space),
        generator=generator,
    )
    return intervals.proportion(int(found.still_correct.sum()), len(own))


def numeric(columns: Columns, whole: Sequence[bool]) -> Ranges | str:
    """Return columns that are all numbers, or why they cannot be attacked.

    Args:
        columns: Values [N] by name.
        whole: Which of them hold whole numbers.
    """
    for name, values in columns.items():
        if values.dtype == object or not np.issubdtype(values.dtype, np.number):
            return f"the column '{name}' holds no numbers."
        if not np.isfinite(values.astype(float)).all():
            return f"the column '{name}' has missing or infinite cells."
    raw = torch.as_tensor(np.stack([v.astype(float) for v in columns.values()], axis=1))
    low, high = raw.amin(dim=0), raw.amax(dim=0)
    width = (high - low).float()
    if not width.any():
        return "no column has two values, so that nothing may change."
    if not width.isfinite().all():
        return "a column's values lie further apart than float32 tells."
    return Ranges((raw - low).float(), low, width, torch.tensor(list(whole)))
