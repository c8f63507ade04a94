"""Ask the teacher once about every row that a student will see."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stillhouse import config, environment
from stillhouse.config import Count, Seed, Spec, Temperature
from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.data.view import Views
from stillhouse.errors import Notice, SettingsError
from stillhouse.evaluation.tasks import CLASSIFICATION, task_of
from stillhouse.knowledge.bucket import bucket
from stillhouse.knowledge.build import build
from stillhouse.knowledge.keep import ALL, Form, Keep, Sampled, Top
from stillhouse.knowledge.shared import Sharing
from stillhouse.knowledge.store import FOLDER, Knowledge
from stillhouse.steps.runtime import elsewhere
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.teachers.passes import rows_at_once
from stillhouse.teachers.recall import recall
from stillhouse.workspace import dump_json, sha256_bytes

READS = (
    "prepare/train.safetensors",
    "prepare/schema.json",
    "teacher/model",
    "teacher/teacher.json",
)


class Biased(Notice):
    """What is kept of the answers teaches something else than all of them would."""


@dataclass(frozen=True)
class Settings:
    """The section `knowledge`.

    Attributes:
        views: Looks at each row: 1 is the row itself, every further one a changed row that the
            teacher is asked about too; the student learns from all of them.
        augment: The changes, in order, each a view plugin: `[{name: shift, pixels: 2}, {name:
            flip}]`; empty: what is usual for the kind of rows.
        seed: Of the changes, and of what is drawn.
        keep: What is stored of an answer: `all`; of many classes `sampled`, classes drawn from the
            softened probabilities, which teach the same on average; or `top`, the largest logits
            and the mass of the rest, which do not.
        count: Draws a row, or logits a row, where not all is kept.
        temperature: At which is drawn; `distill.method` has to use the same.
        features: Of a torch teacher: taps or stages, such as `penultimate`, that are stored beside
            its answers (fp16), so that methods read them rather than ask it in every batch.
        runtime: Where a torch teacher's logits are worked out: `onnx` is ONNX Runtime, which is
            faster for convolutions and rounds otherwise; it is refused where it does not agree.
    """

    views: Count = 1
    augment: tuple[Spec, ...] = ()
    seed: Seed = 0
    keep: Form = "all"
    count: Count = 64
    temperature: Temperature = 1.0
    features: tuple[str, ...] = ()
    runtime: Literal["torch", "onnx"] = "torch"

    @property
    def kept(self) -> Keep:
        """What is kept of an answer."""
        forms: Mapping[Form, Keep] = {
            "all": ALL,
            "sampled": Sampled(self.count, self.temperature, self.seed),
            "top": Top(self.count),
        }
        return forms[self.keep]


def check(params: Mapping[str, Any]) -> None:
    """Check the section."""
    config.refuse_spaces(params.get("knowledge"), "knowledge")
    settings = config.build(Settings, params.get("knowledge"), where="knowledge")
    if settings.views == 1 and settings.augment:
        raise SettingsError(
            "with one view, the row itself, nothing is changed.",
            where="knowledge.augment",
            fix="Set views: 2 or more.",
        )
    for at, spec in enumerate(settings.augment):
        config.check_spec("views", spec, where=f"knowledge.augment.{at}")


def _require_keep(keep: Keep, schema: Schema) -> None:
    if keep is ALL:
        return
    if task_of(schema).name != CLASSIFICATION.name:
        raise SettingsError(
            f"this is a {task_of(schema).words}, of whose answers nothing can be left out.",
            where="knowledge.keep",
            fix="Write keep: all.",
        )
    keep.require_smaller(len(schema.classes))
    if keep.form == "top":
        warnings.warn(
            "knowledge.keep: top leaves out most of what the teacher says of rare classes, and the "
            "student learns a biased tail; sampled is right on average.",
            Biased,
            stacklevel=2,
        )


def run(job: Job) -> Metrics:
    """Write the answers to the picked train rows: `knowledge/store/` and
    `knowledge/knowledge.json`.

    Where STILLHOUSE_KNOWLEDGE names a folder or a bucket, what another workspace asked is found
    there.

    Returns:
        `knowledge/rows` (answers, all views) and `knowledge/bytes`.

    Raises:
        SourceError: The teacher has no finite answer for a row; the row is named.
        UsageError: A view does not go with such rows, or the teacher answers by row number alone.
        Corrupt: The teacher's files are not those that were stored.
        ServerUnreachable: The bucket does not answer; run again, what was asked is kept.
    """
    check(job.params)
    settings = job.settings(Settings, "knowledge")
    rows = prepared.picked(job.files)
    views = Views.of(settings.views, settings.augment, settings.seed, rows.schema.kind)
    keep = settings.kept
    _require_keep(keep, rows.schema)
    oracle = recall(job.files, rows.schema, job.device)
    teacher = job.files.read_json("teacher/teacher.json")["fingerprint"]
    asked, runtime = elsewhere(oracle, rows) if settings.runtime == "onnx" else (oracle, None)
    shared = job.place.knowledge
    sizes: list[int] = []

    def timed(size: int, seconds: float) -> None:
        job.timing[f"rows_at_once/{size}/seconds_a_row"] = round(seconds, 9)

    def write(name: str, data: bytes) -> None:
        job.files.write_bytes(f"{FOLDER}/{name}", data)
        sizes.append(len(data))

    manifest = build(
        asked,
        rows,
        teacher=teacher,
        work=shared if isinstance(shared, Path) else job.files.scratch,
        write=write,
        views=views,
        keep=keep,
        features=settings.features,
        progress=job.progress,
        runtime=runtime,
        at_once=rows_at_once(asked, rows, job.clock, told=timed),
        shared=Sharing(bucket(shared, job.clock), environment.who(), clock=job.clock)
        if isinstance(shared, str)
        else None,
        waiting=lambda: job.told("Another run asks the teacher the same; waiting for its answers."),
    )
    Knowledge.open(job.files.path(FOLDER), rows, oracle, teacher=teacher)
    about = {
        "fingerprint": sha256_bytes(dump_json(manifest)),
        "rows": len(rows),
        "views": views.count,
        "bytes": sum(sizes),
        **({} if keep is ALL else {"keep": keep.as_dict(), "bytes_a_row": _a_row(keep, rows)}),
    }
    job.files.write_json("knowledge/knowledge.json", about)
    return {"knowledge/rows": float(len(rows) * views.count), "knowledge/bytes": float(sum(sizes))}


def _a_row(keep: Keep, rows: Dataset) -> int:
    return keep.bytes_a_row(len(rows.schema.classes))


step = Step(
    name="knowledge",
    run=run,
    reads=READS,
    writes=("store", "knowledge.json"),
    sections=("knowledge",),
    check=check,
)
