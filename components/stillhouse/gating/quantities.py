"""What is measured of a student that tells a quantity: errors by row for every model, so that two
of them can be compared on the same rows.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from stillhouse.evaluation import errors
from stillhouse.evaluation.tasks import Regression
from stillhouse.gating.evidence import Errors, Measured, Rows
from stillhouse.gating.resampled import resample


def measured(
    task: Regression, outputs: Mapping[str, Tensor], targets: Tensor
) -> dict[str, Measured]:
    """Return evidence by metric.

    Args:
        task: What is told.
        outputs: By model, [N, C]: the student and whoever else was asked.
        targets: [N], all known.
    """
    told = {who: task.point(found).double() for who, found in outputs.items()}
    truth, unit, n = targets.double(), task.measure.unit, len(targets)
    absolute = {who: errors.absolute_rows(each, truth).numpy() for who, each in told.items()}
    squared = {who: errors.squared_rows(each, truth).numpy() for who, each in told.items()}
    own = errors.parts(told["student"], truth)
    found: dict[str, Measured] = {
        "test/mae": Errors(absolute, unit),
        "test/rmse": Errors(squared, unit, root=True),
    }
    if bool(
        (truth != truth[0]).any()
    ):  # of targets that are all alike no variance can be explained
        found["test/r2"] = resample(own, errors.of_sums(n)["r2"])
    if not task.quantiles:
        return found
    wide = {who: each.double() for who, each in outputs.items()}
    lost = {
        who: errors.pinball_rows(each, truth, task.quantiles).numpy() for who, each in wide.items()
    }
    covered = {who: errors.covered_rows(each, truth).numpy() for who, each in wide.items()}
    return {**found, "test/pinball": Errors(lost, unit), "test/coverage": Rows(covered)}


def corrupted(task: Regression, outcomes: Mapping[str, Tensor]) -> dict[str, Measured]:
    """Return the student's errors under each corruption, over its severities, and under all (a row
    counts with their mean), and under each attack, with which rows stay within the tolerance.

    Args:
        task: What is told.
        outcomes: Absolute errors [N] by `error/<name>/<severity>` and `push/<label>`, u8 [N] by
            `within/<label>`; others are passed over.
    """
    by_name: dict[str, list[Tensor]] = {}
    for key in sorted(outcomes):
        kind, _, rest = key.partition("/")
        if kind == "error" and "/" in rest:
            by_name.setdefault(rest.rpartition("/")[0], []).append(outcomes[key].double())
    means = {name: torch.stack(each).mean(dim=0) for name, each in by_name.items()}
    found: dict[str, Measured] = {
        f"corruption/{name}/mae": Errors({"student": mean.numpy()}, task.measure.unit)
        for name, mean in means.items()
    }
    for key, told in outcomes.items():
        kind, _, label = key.partition("/")
        if kind == "push":
            own = {"student": told.double().numpy()}
            found[f"robust/{label}/mae"] = Errors(own, task.measure.unit)
        if kind == "within":
            found[f"robust/{label}/within"] = Rows({"student": (told == 1).numpy()})
    if means:
        every = torch.stack(list(means.values())).mean(dim=0)
        found["corruption/mean_mae"] = Errors({"student": every.numpy()}, task.measure.unit)
    return found
