"""The slices that a student is judged by: found on val by the rows that it gets wrong there, and
looked up among the test rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.data.dataset import Dataset, known
from stillhouse.data.measures import measures
from stillhouse.data.schema import Schema
from stillhouse.errors import UsageError
from stillhouse.evaluation.clusters import centres, nearest
from stillhouse.evaluation.slices import search
from stillhouse.evaluation.tasks import task_of
from stillhouse.evaluation.traits import Cut, Traits, cuts, traits
from stillhouse.models.stages import find
from stillhouse.models.taps import tapped

FEWEST = 40  # val rows; of fewer every slice is an anecdote
PROBED = 8  # rows that show where the features are
AT_ONCE = 1024  # rows


@dataclass(frozen=True)
class Slice:
    """Rows that have something in common.

    Attributes:
        name: In words.
        rows: [N test], bool.
        val_rows: How many of val's rows it has.
        val_wrong: How many of these the student gets wrong.
    """

    name: str
    rows: Tensor
    val_rows: int
    val_wrong: int


@dataclass(frozen=True)
class Student:
    """Who is looked at.

    Attributes:
        net: With its weights, for its features.
        val_logits: What ships answers to val's rows [N val, C]; log-odds of several labels a row.
    """

    net: nn.Module
    val_logits: Tensor


def find_slices(student: Student, val: Dataset, test: Dataset) -> list[Slice]:
    """Return the most doubtful slices, at most eight, most doubtful first; none where val has fewer
    than 40 rows with a target.

    Of several labels a row one is wrong where any label that is known is.
    """
    labelled = torch.nonzero(known(val.targets)).flatten()
    if len(labelled) < FEWEST:
        return []
    seen = val.take(labelled)
    wrong = ~task_of(seen.schema).merit(student.val_logits[labelled], seen.targets)
    made, middle = cuts(measures(seen)), centres(_features(student.net, seen.inputs))
    names = _cluster_names(student.net, seen, middle)
    on_val, on_test = (_traits(student.net, part, made, (middle, names)) for part in (seen, test))
    return [
        Slice(
            on_val.name(which),
            on_test.rows(which),
            int(on_val.rows(which).sum()),
            int((on_val.rows(which) & wrong).sum()),
        )
        for which in search(on_val, wrong)
    ]


def _traits(
    net: nn.Module, rows: Dataset, made: list[Cut], clusters: tuple[Tensor, list[str]]
) -> Traits:
    # The truth is no trait: of the rows of a rare class most are missed by any model that ranks
    # well, and `test/worst_class` bounds that.
    middle, names = clusters
    labels: Mapping[str, tuple[Tensor, list[str]]] = {
        "cluster": (nearest(_features(net, rows.inputs), middle), names),
    }
    return traits(measures(rows), made, labels)


def _cluster_names(net: nn.Module, seen: Dataset, middle: Tensor) -> list[str]:
    """Call a cluster by its number and its commonest class or label; a number alone would mean
    nothing.
    """
    at = nearest(_features(net, seen.inputs), middle)
    names = []
    for code in range(len(middle)):
        most = _commonest(seen.targets[at == code], seen.schema)
        names.append(f"cluster {code}, mostly {most}" if most else f"cluster {code}")
    return names


def _commonest(inside: Tensor, schema: Schema) -> str:
    """Return the class that most of these rows are of, or the label that most of them have; empty
    where there are no rows, or where no label is had by half of those of which it is known.
    """
    if not len(inside):
        return ""
    if not schema.labels:
        return schema.classes[int(inside.mode().values)]
    have, known_rows = (inside == 1).sum(dim=0), (~inside.isnan()).sum(dim=0)
    most = int(have.argmax())
    return schema.labels[most] if 2 * have[most] > known_rows[most] else ""


def _features(net: nn.Module, inputs: Tensor) -> Tensor:
    """Return what the last layer is given, [N, D]; of a net of one layer its logits."""
    with torch.no_grad():
        tap = _tap(net, inputs[:PROBED])
        parts = [_of(net, part, tap) for part in torch.split(inputs, AT_ONCE)]
    return torch.cat(parts).flatten(1).nan_to_num()


def _of(net: nn.Module, inputs: Tensor, tap: str | None) -> Tensor:
    told: Tensor = net(inputs) if tap is None else tapped(net, inputs, [tap]).features[tap]
    return told


def _tap(net: nn.Module, inputs: Tensor) -> str | None:
    try:
        return find(net, inputs, ["penultimate"])["penultimate"]
    except UsageError:  # one layer: nothing lies before its logits
        return None
