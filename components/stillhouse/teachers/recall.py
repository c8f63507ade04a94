"""The teacher that the step `teacher` stored, for every step after it."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import torch

from stillhouse import config
from stillhouse.data.schema import Schema
from stillhouse.errors import Corrupt, UsageError
from stillhouse.models.device import CPU
from stillhouse.teachers.teacher import Oracle
from stillhouse.workspace import StepFiles, dump_json, sha256_bytes

FOLDER = "teacher/model"
KEPT = "answers"  # under .stillhouse/: what was paid for outlives every run


def store(files: StepFiles, made: Mapping[str, bytes]) -> None:
    """Write the files that a teacher's `learn` returned.

    Raises:
        UsageError: A name leads out of the folder.
    """
    for name, data in sorted(made.items()):
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
            raise UsageError(
                f"the teacher wants to store a file '{name}'.",
                where="teacher",
                fix="A teacher's files have plain names.",
            )
        files.write_bytes(f"{FOLDER}/{name}", data)


def stored(files: StepFiles) -> dict[str, bytes]:
    """Return the files of the stored teacher, by name."""
    folder = files.path(FOLDER)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fingerprint(spec: Mapping[str, Any], made: Mapping[str, bytes]) -> str:
    """Return the sha256 over a teacher's settings and the sorted (name, sha256) of its files."""
    pairs = [[name, sha256_bytes(data)] for name, data in sorted(made.items())]
    return hashlib.sha256(dump_json({"spec": dict(spec), "files": pairs})).hexdigest()


def recall(files: StepFiles, schema: Schema, device: torch.device = CPU) -> Oracle:
    """Return the stored teacher, ready to answer; its settings are those it was made with.

    Raises:
        Corrupt: Its files are not those that were stored.
        SourceError: It does not fit the data.
    """
    about = files.read_json("teacher/teacher.json")
    made = stored(files)
    if fingerprint(about["spec"], made) != about["fingerprint"]:
        raise Corrupt(
            "the teacher's files are not those that were stored.",
            where=str(files.path(FOLDER)),
            fix="Run the step `teacher` again.",
        )
    oracle: Oracle = config.plugin("teachers", about["spec"], where="teacher").recall(made, schema)
    oracle.keep_in(files.workspace.hidden / KEPT)
    oracle.to(device)
    return oracle
