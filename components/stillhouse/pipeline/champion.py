"""The champion as an input of gate and report: written down before gate is asked, so that promoting
makes nothing stale.
"""

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

    about, model = champion_files(project.registry, student_fingerprint(project.workspace))
    failpoint("pipeline.before_champion")
    project.workspace.write_if_changed(ONNX, model)
    failpoint("pipeline.between_champion")
    project.workspace.write_if_changed(JSON, about)
    failpoint("pipeline.after_champion")
