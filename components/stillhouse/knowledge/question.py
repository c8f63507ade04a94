"""What exactly a teacher is asked, and what a store says of its answers."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.view import Views
from stillhouse.knowledge.keep import ALL, Keep
from stillhouse.workspace import dump_json

FORMAT = 1
MANIFEST = "manifest.json"
SHARD_ROWS = 8192
SENTINELS = 8
PLAIN = Views(1, (), 0)


@dataclass(frozen=True)
class Shard:
    """A file of answers to consecutive rows.

    Attributes:
        file: Its name in the store.
        view: Which augmented view of the rows.
        start: Position of its first row in the data set.
        rows: How many.
        sha256: Of its bytes.
    """

    file: str
    view: int
    start: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Question:
    """What exactly is asked; two equal ones have equal answers.

    Attributes:
        teacher: Fingerprint.
        data: Fingerprint of inputs, targets and schema: a changed preprocessing changes it.
        rows: sha256 over the rows' numbers in order.
        classes: Names by code.
        views: Augmented views a row; 1 is the row itself.
        count: N.
        shard_rows: Rows a shard.
        augmentation: How further views are made, with their seed; None where there are none.
        keep: What is kept of an answer; None: all.
        features: The teacher's features that are stored beside it; None: none.
        runtime: What ran it in its own place, and how well that agreed; None: nothing.
    """

    teacher: str
    data: str
    rows: str
    classes: tuple[str, ...]
    views: int
    count: int
    shard_rows: int
    augmentation: Mapping[str, Any] | None = None
    keep: Mapping[str, Any] | None = None
    features: tuple[str, ...] | None = None
    runtime: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @property
    def address(self) -> str:
        """The sha256 of the question."""
        return hashlib.sha256(dump_json({"format": FORMAT, **self.as_dict()})).hexdigest()


def question(
    dataset: Dataset,
    *,
    teacher: str,
    views: Views = PLAIN,
    shard_rows: int = SHARD_ROWS,
    keep: Keep = ALL,
    features: tuple[str, ...] = (),
    runtime: Mapping[str, Any] | None = None,
) -> Question:
    """Return what is asked about these rows."""
    return Question(
        teacher,
        dataset.fingerprint(),
        rows_digest(dataset.rows),
        dataset.schema.outputs,
        views.count,
        len(dataset),
        shard_rows,
        None if views.count == 1 else views.as_dict(),
        keep.as_dict(),
        features or None,
        runtime,
    )


def rows_digest(rows: Tensor) -> str:
    """Return the sha256 over row numbers [N] in their order."""
    return hashlib.sha256(rows.contiguous().numpy().tobytes()).hexdigest()


def sentinel_places(count: int) -> list[int]:
    """Return the positions of the rows that are asked again at every opening: at most 8, spread
    over all.
    """
    return (
        sorted({round(k * (count - 1) / (SENTINELS - 1)) for k in range(SENTINELS)})
        if count
        else []
    )


def places_of(view: int, count: int, shard_rows: int) -> list[int]:
    """Return the positions of a view's sentinel rows; of changed views two, in the first shard, so
    that opening a store draws few rows again.
    """
    if view == 0:
        return sentinel_places(count)
    return sorted({0, min(count, shard_rows) - 1}) if count else []
