"""Ask the teacher once about every row that a student will see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse import config
from stillhouse.config import Count
from stillhouse.data import prepared
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
        views: Augmented views of a row; 1, the row itself, is all there is without augmentation.
    """

    views: Count = 1


def check(params: Mapping[str, Any]) -> None:
    """Check the section."""
    config.refuse_spaces(params.get("knowledge"), "knowledge")
    settings = config.build(Settings, params.get("knowledge"), where="knowledge")
    if settings.views != 1:
        raise SettingsError(
            f"{settings.views} views of a row would all be the same: there is no augmentation.",
            where="knowledge.views",
            fix="Set views: 1.",
        )


def run(job: Job) -> Metrics:
    """Write the answers to the picked train rows: `knowledge/store/` and
    `knowledge/knowledge.json`.

    Returns:
        `knowledge/rows` (count) and `knowledge/bytes`.

    Raises:
        SourceError: The teacher has no finite answer for a row; the row is named.
        Corrupt: The teacher's files are not those that were stored.
    """
    check(job.params)
    settings = job.settings(Settings, "knowledge")
    rows = prepared.picked(job.files)
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
        views=settings.views,
        progress=job.progress,
    )
    Knowledge.open(job.files.path(FOLDER), rows, oracle, teacher=teacher)
    about = {
        "fingerprint": sha256_bytes(dump_json(manifest)),
        "rows": len(rows),
        "views": settings.views,
        "bytes": sum(sizes),
    }
    job.files.write_json("knowledge/knowledge.json", about)
    return {"knowledge/rows": float(len(rows)), "knowledge/bytes": float(sum(sizes))}


step = Step(
    name="knowledge",
    run=run,
    reads=READS,
    writes=("store", "knowledge.json"),
    sections=("knowledge",),
    check=check,
)
