"""What the teacher said, asked once and stored: shards of fp16 logits, and a manifest written last.

A logit is stored less its row's largest, which changes no softmax and keeps fp16 from overflowing:
the values are 0 and below, finest near 0 where the probability is. Shards that were finished before
a kill wait in a work folder under the address of exactly this question (teacher, data, rows,
views), each named by its hash, and are not asked again.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.data.view import Views
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import task_of
from stillhouse.failpoints import failpoint
from stillhouse.teachers.ask import ask
from stillhouse.teachers.teacher import Oracle
from stillhouse.training.fit import silent
from stillhouse.workspace import dump_json, dump_tensors, parse_tensors, sha256_bytes, write_atomic

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
    """

    teacher: str
    data: str
    rows: str
    classes: tuple[str, ...]
    views: int
    count: int
    shard_rows: int
    augmentation: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @property
    def address(self) -> str:
        """The sha256 of the question."""
        return hashlib.sha256(dump_json({"format": FORMAT, **self.as_dict()})).hexdigest()


def question(
    dataset: Dataset, *, teacher: str, views: Views = PLAIN, shard_rows: int = SHARD_ROWS
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


def build(
    oracle: Oracle,
    dataset: Dataset,
    *,
    teacher: str,
    work: Path,
    write: Callable[[str, bytes], None],
    views: Views = PLAIN,
    shard_rows: int = SHARD_ROWS,
    progress: Callable[[int, int, str], None] = silent,
) -> dict[str, Any]:
    """Ask a teacher about every row and store its answers.

    Args:
        oracle: The teacher.
        dataset: N rows.
        teacher: Its fingerprint.
        work: A folder that survives a kill; finished shards wait there.
        write: Writes a file of the store by name, atomically; the manifest comes last.
        views: How many looks at each row, and which.
        shard_rows: Rows a shard.
        progress: Called with (rows done, all rows, a note).

    Returns:
        The manifest.

    Raises:
        SourceError: An answer is missing or not a finite number; the rows are named.
        UsageError: It is asked about views, and answers by row number alone.
        OSError: The disk is full or broken.
    """
    _require_eyes(oracle, views)
    asked = question(dataset, teacher=teacher, views=views, shard_rows=shard_rows)
    place = work / asked.address[:32]
    shards, sentinels, total = [], [], views.count * len(dataset)
    for view in range(views.count):
        wanted = places_of(view, len(dataset), shard_rows)
        for index, start in enumerate(range(0, len(dataset), shard_rows)):
            name = _name(view, index)
            part = views.look(dataset, view, start, start + shard_rows)
            data = _finished(place, name) or _ask_shard(oracle, part, place, name)
            file = f"view{view}-{index:05d}.safetensors"
            shards.append(Shard(file, view, start, len(part), sha256_bytes(data)))
            write(file, data)
            inside = [at - start for at in wanted if start <= at < start + len(part)]
            sentinels += _sentinels(data, inside, start, view)
            progress(view * len(dataset) + start + len(part), total, "asking the teacher")
    manifest = {
        "format": FORMAT,
        **asked.as_dict(),
        "classes": list(asked.classes),
        "shards": [asdict(shard) for shard in shards],
        "sentinels": sentinels,
    }
    failpoint("knowledge.before_manifest")
    write(MANIFEST, dump_json(manifest))
    failpoint("knowledge.after_manifest")
    return manifest


def _require_eyes(oracle: Oracle, views: Views) -> None:
    if views.count > 1 and oracle.by_row:
        raise UsageError(
            "the teacher answers by a row's number and cannot say what a changed view of it is.",
            where="knowledge.views",
            fix="Set views: 1, or bring the model itself (onnx, checkpoint, endpoint).",
        )


def places_of(view: int, count: int, shard_rows: int) -> list[int]:
    """Return the positions of a view's sentinel rows; of changed views two, in the first shard, so
    that opening a store draws few rows again.
    """
    if view == 0:
        return sentinel_places(count)
    return sorted({0, min(count, shard_rows) - 1}) if count else []


def _name(view: int, index: int) -> str:
    return f"{index:05d}" if view == 0 else f"v{view}-{index:05d}"


def _finished(place: Path, name: str) -> bytes | None:
    """Return a shard that was finished before a kill, if its bytes are still those of its name."""
    for path in sorted(place.glob(f"{name}.*.safetensors")):
        data = path.read_bytes()
        if sha256_bytes(data) == path.name.split(".")[1]:
            return data
        path.unlink()
    return None


def _ask_shard(oracle: Oracle, part: Dataset, place: Path, name: str) -> bytes:
    data = dump_tensors(
        {
            "logits": task_of(part.schema).stored(
                ask(oracle, part, where="knowledge, the teacher on train")
            ),
            "rows": part.rows,
        }
    )
    failpoint("knowledge.before_shard")
    write_atomic(place / f"{name}.{sha256_bytes(data)}.safetensors", data)
    failpoint("knowledge.after_shard")
    return data


def _sentinels(data: bytes, places: list[int], start: int, view: int) -> list[dict[str, Any]]:
    held = parse_tensors(data, where="knowledge")
    return [
        {
            **({"view": view} if view else {}),
            "at": start + at,
            "row": int(held["rows"][at]),
            "answer": held["logits"][at].float().tolist(),
        }
        for at in places
    ]
