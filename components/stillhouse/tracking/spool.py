"""What MLflow could not take when it was told: kept as lines on disk, and told again later, each
once.
"""

import json
from dataclasses import dataclass
from typing import Any

from stillhouse.failpoints import failpoint
from stillhouse.workspace import Workspace

FOLDER = ".stillhouse/spool"


@dataclass(frozen=True)
class Spool:
    """The waiting records of one run.

    A record keeps its time stamps, so that telling it twice after a kill changes nothing.

    Attributes:
        workspace: Where they wait.
        run_id: MLflow's run that they belong to.
    """

    workspace: Workspace
    run_id: str

    @property
    def name(self) -> str:
        """The file, relative to the workspace."""
        return f"{FOLDER}/{self.run_id}.jsonl"

    def records(self) -> list[dict[str, Any]]:
        """Return what waits, oldest first."""
        path = self.workspace.root / self.name
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]

    def put(self, record: dict[str, Any]) -> None:
        """Keep one record."""
        failpoint("tracking.before_spool")
        self.keep([*self.records(), record])
        failpoint("tracking.after_spool")

    def keep(self, records: list[dict[str, Any]]) -> None:
        """Keep exactly these records; none of them removes the file."""
        if records:
            lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
            self.workspace.write_bytes(self.name, lines.encode())
        else:
            self.workspace.remove(self.name)

    def set_aside(self) -> None:
        """Keep the records where nobody tells them: MLflow does not know the run any more."""
        path = self.workspace.root / self.name
        self.workspace.write_bytes(f"{FOLDER}/untold/{path.name}", path.read_bytes())
        self.workspace.remove(self.name)


def waiting(workspace: Workspace) -> list[Spool]:
    """Return the spools that hold something."""
    folder = workspace.root / FOLDER
    return (
        [Spool(workspace, path.stem) for path in sorted(folder.glob("*.jsonl"))]
        if folder.is_dir()
        else []
    )
