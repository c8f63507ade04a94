"""How far told quantities [N] are from the targets [N]: pure functions, in the target's unit, rows
in the order given; every target is there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import DataError
from stillhouse.evaluation.intervals import Interval, bootstrap

SCALARS = ("rmse", "mae", "r2")
OF_QUANTILES = ("pinball", "coverage")


def squared_rows(told: Tensor, targets: Tensor) -> Tensor:
    """Return each row's squared error [N], the unit squared."""
    return (told - targets).square()


def absolute_rows(told: Tensor, targets: Tensor) -> Tensor:
    """Return each row's absolute error [N]."""
    return (told - targets).abs()


def pinball_rows(outputs: Tensor, targets: Tensor, levels: Sequence[float]) -> Tensor:
    """Return each row's quantile loss [N], the mean over the levels.

    At level q an answer too low by e costs q·e, one too high (1 − q)·e: smallest, on average, at
    the quantile itself.

    Args:
        outputs: [N, Q].
        targets: [N].
        levels: Q of them, in (0, 1).

    Source:
        Koenker and Bassett 1978, Econometrica 46, equation 2.3.

    Example:
        >>> pinball_rows(torch.tensor([[1.0]]), torch.tensor([3.0]), [0.9]).item()
        1.7999999523162842
    """
    q = torch.tensor(levels, dtype=outputs.dtype, device=outputs.device)
    below = targets[:, None] - outputs
    return torch.maximum(q * below, (q - 1) * below).mean(dim=1)


def covered_rows(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return whether each target lies between the outermost quantiles, bool [N]."""
    return (outputs.amin(dim=1) <= targets) & (targets <= outputs.amax(dim=1))


def parts(told: Tensor, targets: Tensor) -> Tensor:
    """Return [N, 4], float64: squared error, absolute error, target and its square, less the
    targets' mean: what each row adds to the sums that the metrics are made of.
    """
    told, targets = told.double(), targets.double()
    centred = targets - targets.mean()
    return torch.stack(
        [squared_rows(told, targets), absolute_rows(told, targets), centred, centred.square()],
        dim=1,
    )


def of_sums(rows: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return each metric as a function of sums [R, 4] of `parts` over `rows` rows each."""

    def r2(sums: Tensor) -> Tensor:
        spread = sums[:, 3] - sums[:, 2].square() / rows
        return 1 - sums[:, 0] / spread.clamp_min(torch.finfo(torch.float64).tiny)

    return {
        "rmse": lambda sums: (sums[:, 0] / rows).sqrt(),
        "mae": lambda sums: sums[:, 1] / rows,
        "r2": r2,
    }


def scores(
    told: Tensor, outputs: Tensor, targets: Tensor, quantiles: Sequence[float]
) -> dict[str, float]:
    """Return rmse, mae and r2 of the one number told, and pinball and coverage of the quantiles
    where there are some.

    Args:
        told: [N], the mean or the median.
        outputs: [N, C].
        targets: [N].
        quantiles: C levels; empty where a mean is told.
    """
    n = len(targets)
    sums = parts(told, targets).sum(dim=0, keepdim=True)
    found = {name: float(of(sums)[0]) for name, of in of_sums(n).items()}
    if quantiles:
        wide, of = outputs.double(), targets.double()
        found["pinball"] = float(pinball_rows(wide, of, quantiles).mean())
        found["coverage"] = float(covered_rows(wide, of).double().mean())
    return found


def intervals(
    told: Tensor, outputs: Tensor, targets: Tensor, quantiles: Sequence[float], seed: int = 0
) -> dict[str, Interval]:
    """Return the interval of each metric, by resampled rows."""
    n = len(targets)
    rows = parts(told, targets)
    found = {name: bootstrap(rows, of, seed=seed) for name, of in of_sums(n).items()}
    if quantiles:
        wide, of = outputs.double(), targets.double()
        for name, values in (
            ("pinball", pinball_rows(wide, of, quantiles)),
            ("coverage", covered_rows(wide, of).double()),
        ):
            found[name] = bootstrap(values[:, None], lambda sums: sums[:, 0] / n, seed=seed)
    floors = {"rmse": 0.0, "mae": 0.0, "pinball": 0.0, "coverage": 0.0}
    tops = {"r2": 1.0, "coverage": 1.0}
    return {
        name: (
            max(low, floors.get(name, float("-inf"))),
            estimate,
            min(high, tops.get(name, float("inf"))),
        )
        for name, (low, estimate, high) in found.items()
    }


def report(
    told: Tensor, outputs: Tensor, targets: Tensor, quantiles: Sequence[float], seed: int = 0
) -> dict[str, Any]:
    """Return everything that evaluation knows of a split, ready for JSON.

    Returns:
        `rows` (count), each metric as [low, estimate, high] at 95 %, and `error_quantiles`: the
        signed error (told − target) at 5, 25, 50, 75 and 95 %.

    Raises:
        DataError: No row has a target.
    """
    if not len(targets):
        raise DataError("no row has a target.", fix="Evaluation needs labelled rows.")
    signed = told.double() - targets.double()
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    return {
        "rows": len(targets),
        **{
            name: list(interval)
            for name, interval in intervals(told, outputs, targets, quantiles, seed).items()
        },
        "error_quantiles": torch.quantile(signed, levels).tolist(),
    }
