"""The champion as an input of gate and report: written down before gate is asked, so that promoting
makes nothing stale.
"""

import json
from typing import TYPE_CHECKING

from stillhouse.failpoints import failpoint

if TYPE_CHECKING:
    from stillhouse.pipeline.project import Project

READERS = ("gate", "report")
JSON, ONNX = ".stillhouse/champion/champion.json", ".stillhouse/champion/champion.onnx"


def refresh(project: "Project") -> None:
    """Write champion.json and champion.onnx as gate and report have to see them.

    If the student that lies here is the champion itself, they are what its own gate saw; otherwise
    the champion as it is now; `null` and an empty file where there is none.

    Raises:
        ServerUnreachable: The registry does not answer. Then nothing can pass: not knowing the
            champion is not the same as having none.
        Corrupt: The champion's bytes have another hash than was recorded.
    """
    from stillhouse.release.champion import champion_files
    from stillhouse.release.manifest import student_fingerprint

    student = student_fingerprint(project.workspace)
    about, model = champion_files(project.registry, student)
    about = _counted(project, about, student)
    failpoint("pipeline.before_champion")
    project.workspace.write_if_changed(ONNX, model)
    failpoint("pipeline.between_champion")
    project.workspace.write_if_changed(JSON, about)
    failpoint("pipeline.after_champion")


def _counted(project: "Project", about: bytes, student: str | None) -> bytes:
    """Return champion.json with the number of this comparison, where the gate's error rate is that
    of the model's life; it is counted before anybody knows how it ends.

    Another student, other test rows or other rules are another comparison; a verdict that lies with
    a version already has its number.
    """
    from stillhouse.release.looks import look
    from stillhouse.workspace import dump_json, sha256

    gate, told = project.params.get("gate") or {}, json.loads(about)
    rows = project.workspace.root / "artifacts/prepare/test.safetensors"
    if not gate.get("life") or told is None or "look" in told or not rows.is_file():
        return about
    what = json.dumps([student, sha256(rows), told["head"], gate], sort_keys=True)
    return dump_json({**told, "look": look(project.registry, what, project.workspace.clock)})
