"""What a study may aim at, and which of its trials wins. Everything here is measured on val; test
never chooses.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stillhouse.errors import SettingsError, nearest

Direction = Literal["maximize", "minimize"]

# Metric of a trial → which way is better.
OBJECTIVES: dict[str, Direction] = {
    "val/accuracy": "maximize",
    "val/balanced_accuracy": "maximize",
    "val/auc": "maximize",
    "val/nll": "minimize",
    "val/brier": "minimize",
    "val/ece": "minimize",
    "val/rmse": "minimize",
    "val/mae": "minimize",
    "val/r2": "maximize",
    "val/pinball": "minimize",
    "val/exact_match": "maximize",
    "val/hamming_loss": "minimize",
    "val/micro_f1": "maximize",
    "val/macro_f1": "maximize",
    "val/map": "maximize",
    "val/macro_auc": "maximize",
    "student/parameters": "minimize",
    "student/macs": "minimize",
}


@dataclass(frozen=True)
class Trial:
    """One finished trial.

    Attributes:
        number: Its place in the study, from 0.
        params: Path name → the value that was tried.
        values: Metric → what it came to; None where it failed.
        message: Why it failed; empty otherwise.
        at: Share of its steps after which the values were measured: below 1 where it was dropped.
    """

    number: int
    params: Mapping[str, Any]
    values: Mapping[str, float] | None
    message: str = field(default="")
    at: float = 1.0

    @property
    def state(self) -> Literal["complete", "pruned", "failed"]:
        """Whether it has values, and those of a whole training."""
        if self.values is None:
            return "failed"
        return "complete" if self.at == 1.0 else "pruned"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it; the message stands there only if there is one, and the share of
        its steps only if it was dropped.
        """
        told: dict[str, Any] = {
            "number": self.number,
            "state": self.state,
            "values": None if self.values is None else dict(self.values),
            "params": dict(self.params),
        }
        if self.state == "pruned":
            told["at"] = self.at
        return {**told, "message": self.message} if self.message else told


def directions(objectives: Sequence[str], where: str = "tune.objectives") -> list[Direction]:
    """Return which way each objective is better.

    Raises:
        SettingsError: There is none, one is named twice, or one is not a metric of a trial.
    """
    if not objectives or len(set(objectives)) < len(objectives):
        raise SettingsError(
            f"needs one or several different metrics, not {list(objectives)}.",
            where=where,
            fix=f"Known: {', '.join(OBJECTIVES)}.",
        )
    for name in objectives:
        if name not in OBJECTIVES:
            raise SettingsError(
                f"'{name}' is not a metric that a trial can aim at; only val chooses.",
                where=where,
                fix=nearest(name, list(OBJECTIVES)),
            )
    return [OBJECTIVES[name] for name in objectives]


def choose(trials: Sequence[Trial], objectives: Sequence[str]) -> Trial | None:
    """Return the trial that wins, or None if none was trained to its end.

    With several objectives only trials that no other one beats in all of them (the Pareto front)
    are looked at. Among those the first objective decides, then the lower val NLL, then the lower
    number.
    """
    whole = [t for t in trials if t.state == "complete"]
    front = [t for t in whole if not any(_beats(other, t, objectives) for other in whole)]
    return min(
        front,
        key=lambda t: (
            _costs(t, objectives)[0],
            (t.values or {}).get("val/nll", math.inf),
            t.number,
        ),
        default=None,
    )


def best_first(trials: Sequence[Trial], objectives: Sequence[str]) -> Iterator[Trial]:
    """Yield the whole trials, each the one that `choose` takes of those that are left."""
    left = list(trials)
    while (best := choose(left, objectives)) is not None:
        yield best
        left.remove(best)


def _costs(trial: Trial, objectives: Sequence[str]) -> list[float]:
    """Lower is better, whatever the objective."""
    values = trial.values or {}
    return [
        -values[name] if OBJECTIVES[name] == "maximize" else values[name] for name in objectives
    ]


def _beats(one: Trial, other: Trial, objectives: Sequence[str]) -> bool:
    if one.values is None or other.values is None:
        return False
    mine, its = _costs(one, objectives), _costs(other, objectives)
    return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))
