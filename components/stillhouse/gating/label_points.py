"""What is measured of a student that gives several labels a row from thresholds on that val chose:
the exact match there, and what is found, spared and wrongly given of the worst label.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from stillhouse.evaluation import labels
from stillhouse.evaluation.label_points import called
from stillhouse.gating.evidence import Groups, Measured, Rows

NAMES = (
    "test/called_exact_match",
    "test/worst_sensitivity",
    "test/worst_specificity",
    "test/worst_precision",
)


def measured(
    odds: Mapping[str, Tensor],
    targets: Tensor,
    names: Sequence[str],
    points: Mapping[str, Sequence[float]],
) -> dict[str, Measured]:
    """Return evidence by metric; a label without such rows is left out, and a metric without such
    labels.

    Args:
        odds: By model, [N, L]: the student and whoever else was asked.
        targets: [N, L], NaN where nobody knows.
        names: L labels.
        points: By model: its threshold of each label, chosen on val by the same criterion.
    """
    told = {who: called(each, points[who]) for who, each in odds.items() if who in points}
    given, yes, no = labels.decided(told["student"]), targets == 1, targets == 0
    of_each = {
        "test/worst_sensitivity": (yes, given),
        "test/worst_specificity": (no, ~given),
        "test/worst_precision": (given & (yes | no), yes),
    }
    groups = {name: _by_label(*of, names) for name, of in of_each.items()}
    return {
        "test/called_exact_match": Rows(
            {who: labels.exact_rows(each, targets).numpy() for who, each in told.items()}
        ),
        **{name: group for name, group in groups.items() if group.outcomes},
    }


def _by_label(among: Tensor, right: Tensor, names: Sequence[str]) -> Groups:
    own = {name: right[among[:, at], at].numpy() for at, name in enumerate(names)}
    return Groups({f"label {name}": each for name, each in own.items() if len(each)})
