"""What the teacher said, asked once and stored: shards of fp16 logits, and a manifest written last.

A logit is stored less its row's largest, which changes no softmax and keeps fp16 from overflowing:
the values are 0 and below, finest near 0 where the probability is. Shards that were finished before
a kill wait in a work folder under the address of exactly this question (teacher, data, rows,
views), each named by its hash, and are not asked again. The work folder may be shared by workspaces
and people: one of them asks, the others wait for it and read what it finished. Where machines have
no folder in common they share in the same way through a bucket, beside the work folder of each.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stillhouse.data.dataset import Dataset
from stillhouse.data.view import Views
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import task_of
from stillhouse.failpoints import failpoint
from stillhouse.knowledge.keep import ALL, Keep
from stillhouse.knowledge.looked import looked_at
from stillhouse.knowledge.question import (
    FORMAT,
    MANIFEST,
    PLAIN,
    SHARD_ROWS,
    Question,
    Shard,
    places_of,
    question,
)
from stillhouse.knowledge.shared import Sharing, Shelf, file_of
from stillhouse.teachers.ask import BATCH, ask
from stillhouse.teachers.teacher import Oracle
from stillhouse.training.fit import silent
from stillhouse.workspace import (
    alone,
    dump_json,
    dump_tensors,
    parse_tensors,
    sha256_bytes,
    write_atomic,
)

Waiting = Callable[[], None]


def build(
    oracle: Oracle,
    dataset: Dataset,
    *,
    teacher: str,
    work: Path,
    write: Callable[[str, bytes], None],
    views: Views = PLAIN,
    shard_rows: int = SHARD_ROWS,
    keep: Keep = ALL,
    features: tuple[str, ...] = (),
    progress: Callable[[int, int, str], None] = silent,
    waiting: Waiting = lambda: None,
    at_once: int = BATCH,
    runtime: Mapping[str, Any] | None = None,
    shared: Sharing | None = None,
) -> dict[str, Any]:
    """Ask a teacher about every row and store its answers.

    Args:
        oracle: The teacher.
        dataset: N rows.
        teacher: Its fingerprint.
        work: A folder that survives a kill; finished shards wait there. Whoever asks the same
            teacher the same in the same folder shares them.
        write: Writes a file of the store by name, atomically; the manifest comes last.
        views: How many looks at each row, and which.
        shard_rows: Rows a shard.
        keep: What is kept of an answer.
        features: What of the teacher's features is stored too, by the names that methods use.
        progress: Called with (rows done, all rows, a note).
        waiting: Called once if another process asks this very question now.
        at_once: Rows that the teacher sees at once, as in `ask`; the answers are the same.
        runtime: What runs the teacher in its own place; a part of the question.
        shared: A bucket where machines share answers; None: there is none.

    Returns:
        The manifest.

    Raises:
        SourceError: An answer is missing or not a finite number; the rows are named.
        UsageError: It is asked about views, and answers by row number alone.
        ServerUnreachable: The bucket does not answer; what was asked is kept in `work`.
        OSError: The disk is full or broken.
    """
    _require_eyes(oracle, views)
    asked = question(
        dataset,
        teacher=teacher,
        views=views,
        shard_rows=shard_rows,
        keep=keep,
        features=features,
        runtime=runtime,
    )
    place = work / asked.address[:32]
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    shards, sentinels, total = [], [], views.count * len(dataset)
    with alone(place, waiting), _shelf(shared, asked) as shelf:
        notify = _once(waiting)
        for view, index, start in _parts(asked):
            part = views.look(dataset, view, start, start + shard_rows)
            wanted = places_of(view, len(dataset), shard_rows)
            inside = [at - start for at in wanted if start <= at < start + len(part)]
            name, done = _name(view, index), view * len(dataset) + start

            def waits(who: str, done: int = done) -> None:
                notify()
                progress(done, total, f"waiting for {who}")

            data = _known(place, name, shelf, waits) or _ask_shard(
                oracle,
                part,
                place / name,
                keep=keep,
                inside=inside,
                features=features,
                at_once=at_once,
            )
            if shelf is not None:
                shelf.offer(name, data)
            file = f"view{view}-{index:05d}.safetensors"
            shards.append(Shard(file, view, start, len(part), sha256_bytes(data)))
            write(file, data)
            sentinels += _sentinels(data, inside, start, view)
            progress(done + len(part), total, "asking the teacher")
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


def _shelf(
    shared: Sharing | None, asked: Question
) -> contextlib.AbstractContextManager[Shelf | None]:
    return contextlib.nullcontext() if shared is None else shared.of(asked.address[:32])


def _once(act: Callable[[], None]) -> Callable[[], None]:
    acts = iter((act,))
    return lambda: next(acts, lambda: None)()


def _parts(asked: Question) -> list[tuple[int, int, int]]:
    """Return (view, number of the shard in it, position of its first row)."""
    starts = range(0, asked.count, asked.shard_rows)
    return [(view, at, start) for view in range(asked.views) for at, start in enumerate(starts)]


def _require_eyes(oracle: Oracle, views: Views) -> None:
    if views.count > 1 and oracle.by_row:
        raise UsageError(
            "the teacher answers by a row's number and cannot say what a changed view of it is.",
            where="knowledge.views",
            fix="Set views: 1, or bring the model itself (onnx, checkpoint, endpoint).",
        )


def _name(view: int, index: int) -> str:
    return f"{index:05d}" if view == 0 else f"v{view}-{index:05d}"


def _known(
    place: Path, name: str, shelf: Shelf | None, waits: Callable[[str], None]
) -> bytes | None:
    """Return a shard that was finished here or, to be kept here too, by another."""
    data = _finished(place, name)
    if data is None and shelf is not None:
        data = shelf.find(name, waits)
        if data is not None:
            write_atomic(place / file_of(name, data), data)
    return data


def _finished(place: Path, name: str) -> bytes | None:
    """Return a shard that was finished before a kill, if its bytes are still those of its name."""
    for path in sorted(place.glob(f"{name}.*.safetensors")):
        data = path.read_bytes()
        if sha256_bytes(data) == path.name.split(".")[1]:
            return data
        path.unlink()
    return None


def _ask_shard(
    oracle: Oracle,
    part: Dataset,
    stem: Path,
    *,
    keep: Keep,
    inside: list[int],
    features: tuple[str, ...],
    at_once: int,
) -> bytes:
    found = ask(oracle, part, where="knowledge, the teacher on train", at_once=at_once)
    told = task_of(part.schema).stored(found)
    held = keep.encode(told, place=f"{stem.name} {int(part.rows[0])}")
    # where an answer is kept in part, whole ones of the sentinels lie beside it
    whole = {} if "logits" in held else {"sentinels": told[torch.tensor(inside).long()]}
    seen = looked_at(oracle, part, features)
    data = dump_tensors({**held, **whole, **seen, "rows": part.rows})
    failpoint("knowledge.before_shard")
    write_atomic(stem.with_name(file_of(stem.name, data)), data)
    failpoint("knowledge.after_shard")
    return data


def _sentinels(data: bytes, places: list[int], start: int, view: int) -> list[dict[str, Any]]:
    held = parse_tensors(data, where="knowledge")
    whole = held["logits"][torch.tensor(places).long()] if "logits" in held else held["sentinels"]
    return [
        {
            **({"view": view} if view else {}),
            "at": start + at,
            "row": int(held["rows"][at]),
            "answer": answer.float().tolist(),
        }
        for at, answer in zip(places, whole, strict=True)
    ]
