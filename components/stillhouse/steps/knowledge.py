"""Ask the teacher once about every row that a student will see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse import config
from stillhouse.config import Count, Natural, Spec
from stillhouse.data import prepared
from stillhouse.data.view import Views
from stillhouse.errors import SettingsError
from stillhouse.knowledge.build import build
from stillhouse.knowledge.store import FOLDER, Knowledge
from stillhouse.steps.step import Job, Metrics, Step
from stillhouse.teachers.recall import recall
from stillhouse.workspace import dump_json, sha256_bytes

READS = (
    "prepare/train.safetensors",
    "prepare/schema.json",
    "teacher/model",
    "teacher/teacher.json",
)


@dataclass(frozen=True)
class Settings:
    """The section `knowledge`.

    Attributes:
        views: Looks at each row: 1 is the row itself, every further one a changed row that the
            teacher is asked about too; the student learns from all of them.
        augment: The changes, in order, each a view plugin: `[{name: shift, pixels: 2}, {name:
            flip}]`; empty: what is usual for the kind of rows.
        seed: Of the changes.
    """

    views: Count = 1
    augment: tuple[Spec, ...] = ()
    seed: Natural = 0


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


def run(job: Job) -> Metrics:
    """Write the answers to the picked train rows: `knowledge/store/` and
    `knowledge/knowledge.json`.

    Returns:
        `knowledge/rows` (answers, all views) and `knowledge/bytes`.

    Raises:
        SourceError: The teacher has no finite answer for a row; the row is named.
        UsageError: A view does not go with such rows, or the teacher answers by row number alone.
        Corrupt: The teacher's files are not those that were stored.
    """
    check(job.params)
    settings = job.settings(Settings, "knowledge")
    rows = prepared.picked(job.files)
    views = Views.of(settings.views, settings.augment, settings.seed, rows.schema.kind)
    oracle = recall(job.files, rows.schema)
    teacher = job.files.read_json("teacher/teacher.json")["fingerprint"]
    sizes: list[int] = []

    def write(name: str, data: bytes) -> None:
        job.files.write_bytes(f"{FOLDER}/{name}", data)
        sizes.append(len(data))

    manifest = build(
        oracle,
        rows,
        teacher=teacher,
        work=job.files.scratch,
        write=write,
        views=views,
        progress=job.progress,
    )
    Knowledge.open(job.files.path(FOLDER), rows, oracle, teacher=teacher)
    about = {
        "fingerprint": sha256_bytes(dump_json(manifest)),
        "rows": len(rows),
        "views": views.count,
        "bytes": sum(sizes),
    }
    job.files.write_json("knowledge/knowledge.json", about)
    return {"knowledge/rows": float(len(rows) * views.count), "knowledge/bytes": float(sum(sizes))}


step = Step(
    name="knowledge",
    run=run,
    reads=READS,
    writes=("store", "knowledge.json"),
    sections=("knowledge",),
    check=check,
)
