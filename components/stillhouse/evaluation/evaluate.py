"""Ask a model about rows, and say how well it did, each number with its interval."""

from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import DataError
from stillhouse.evaluation import metrics
from stillhouse.evaluation.intervals import Interval, bootstrap, proportion
from stillhouse.models.device import device_of
from stillhouse.models.stages import evaluating

SCALARS = ("accuracy", "balanced_accuracy", "nll", "brier", "ece")


def logits_of(model: nn.Module, inputs: Tensor, batch: int = 1024) -> Tensor:
    """Return a model's logits [N, C], float32, in evaluation mode; every module's own mode is put
    back.

    Args:
        model: From inputs [B, *shape] in data space to logits [B, C]; a copy of each batch of rows
            goes to where it computes, so that one that works in place spoils nobody's rows.
        inputs: [N, *shape]; the logits come back to where they are.
        batch: Rows at once.

    Raises:
        DataError: The model returns something else than a tensor of floats.
    """
    here = inputs.device
    there = device_of(model) or here
    with evaluating(model), torch.inference_mode():
        asked = torch.cat(
            [
                _tensor(model(inputs[start : start + batch].to(there, copy=True))).to(here)
                for start in range(0, len(inputs), batch)
            ]
        )
    return asked.float().clone()  # a clone outside inference mode may enter a loss later


def _tensor(answer: Any) -> Tensor:
    if isinstance(answer, Tensor) and answer.is_floating_point():
        return answer
    found = answer.dtype if isinstance(answer, Tensor) else type(answer).__name__
    raise DataError(
        f"a model returns {found}, not a tensor of logits.",
        where="forward",
        fix="Return the logits alone, or wrap it in a module that takes them out.",
    )


def report(
    logits: Tensor, targets: Tensor, classes: tuple[str, ...], seed: int = 0
) -> dict[str, Any]:
    """Return everything that evaluation knows of a split, ready for JSON.

    Args:
        logits: [N, C].
        targets: [N]; rows without one (−1) are left out.
        classes: C names.
        seed: Of the resampled rows.

    Returns:
        `rows` (count); `accuracy` (exact interval), `balanced_accuracy`, `nll` (nats), `brier`,
        `ece` (bootstrap), each [low, estimate, high] at 95 %; `per_class`, a list of {class, rows,
        correct, interval}; `confusion` [C][C], target by decision; `reliability`, a list of {low,
        high, rows, confidence, accuracy}.

    Raises:
        DataError: No row has a target.
    """
    has = targets >= 0
    logits, targets = logits[has].double(), targets[has]
    if not len(targets):
        raise DataError("no row has a target.", fix="Evaluation needs labelled rows.")
    found = {name: list(interval) for name, interval in intervals(logits, targets, seed).items()}
    counts = metrics.per_class(logits, targets, classes)
    return {
        "rows": len(targets),
        **found,
        "per_class": [
            {
                "class": c["name"],
                "rows": c["rows"],
                "correct": c["correct"],
                "interval": c["interval"] and list(c["interval"]),
            }
            for c in counts
        ],
        "confusion": metrics.confusion(logits, targets).tolist(),
        "reliability": [b._asdict() for b in metrics.reliability(logits, targets)],
    }


def intervals(logits: Tensor, targets: Tensor, seed: int = 0) -> dict[str, Interval]:
    """Return the interval of each scalar metric by name; every row has a target."""
    n = len(targets)
    parts = {
        "balanced_accuracy": metrics.balanced_parts(logits, targets),
        "nll": metrics.nll_rows(logits, targets)[:, None],
        "brier": metrics.brier_rows(logits, targets)[:, None],
        "ece": metrics.ece_parts(logits, targets),
    }
    of_sums = {
        "balanced_accuracy": metrics.balanced_of_sums,
        "nll": lambda sums: sums[:, 0] / n,
        "brier": lambda sums: sums[:, 0] / n,
        "ece": lambda sums: metrics.ece_of_sums(sums, n),
    }
    exact = proportion(int(metrics.correct(logits, targets).sum()), n)
    return {
        "accuracy": exact,
        **{name: _inside(name, bootstrap(parts[name], of_sums[name], seed=seed)) for name in parts},
    }


def _inside(name: str, interval: Interval) -> Interval:
    """Cut an interval at what the metric can be; the bias correction may leave it."""
    top = {"balanced_accuracy": 1.0, "ece": 1.0, "brier": 2.0}.get(name, float("inf"))
    low, estimate, high = interval
    return max(low, 0.0), estimate, min(high, top)


def points(split: str, found: dict[str, Any]) -> dict[str, float]:
    """Return the estimates of a `report` by metric path: {"val/accuracy": …, …}."""
    return {f"{split}/{name}": float(found[name][1]) for name in SCALARS}
