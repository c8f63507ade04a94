"""What is measured of a student that tells two classes apart: how it ranks rows, and what it finds
and spares at a threshold that val chose.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from stillhouse.evaluation.tasks import Classification
from stillhouse.gating.evidence import Measured, Ranked, Rows

NAMES = ("test/auc", "test/sensitivity", "test/specificity", "test/precision")


@dataclass(frozen=True)
class Point:
    """Where models of two classes say yes.

    Attributes:
        positive: The class that is looked for, by name.
        thresholds: By model: the probability from which on it is called; each chosen on val by the
            same criterion.
    """

    positive: str
    thresholds: Mapping[str, float]


def measured(
    task: Classification, outputs: Mapping[str, Tensor], targets: Tensor, point: Point
) -> dict[str, Measured]:
    """Return evidence by metric.

    Sensitivity speaks of the positive rows alone, specificity of the others, precision of those
    that the student calls positive.

    Args:
        task: With a positive class.
        outputs: Logits by model [N, 2]: the student and whoever else was asked.
        targets: [N], all known, of both classes.
        point: A threshold for each model.
    """
    scores = {who: task.ranked(logits, targets)[0] for who, logits in outputs.items()}
    positive = np.asarray(targets) == task.positive
    called = {
        who: scores[who] >= threshold
        for who, threshold in point.thresholds.items()
        if who in scores
    }
    found: dict[str, Measured] = {
        "test/auc": Ranked(scores, positive),
        "test/sensitivity": Rows({who: each[positive] for who, each in called.items()}),
        "test/specificity": Rows({who: ~each[~positive] for who, each in called.items()}),
    }
    if called["student"].any():
        found["test/precision"] = Rows({"student": positive[called["student"]]})
    return found
