"""Find a receipt: this workspace's last one, or a registered version's."""

import json
from pathlib import Path
from typing import Any

from stillhouse import environment
from stillhouse.errors import SourceError
from stillhouse.pipeline import settings
from stillhouse.workspace import Workspace


def find(root: Path, version: int | None) -> tuple[dict[str, Any], Path]:
    """Return a receipt and the place of its page.

    Args:
        root: The project's folder.
        version: A registered version; None means what the last run wrote here.

    Raises:
        SourceError: Nothing was run here yet.
        UsageError: There is no such version.
    """
    workspace = Workspace(root)
    if version is None:
        if not (workspace.artifacts / "report" / "receipt.json").is_file():
            raise SourceError(
                "there is no receipt here yet.",
                where=str(workspace.artifacts / "report"),
                fix="Run `stillhouse run` first.",
            )
        return workspace.read_json(
            "artifacts/report/receipt.json"
        ), workspace.artifacts / "report" / "receipt.html"
    from stillhouse.release.champion import stored_file
    from stillhouse.release.promote import target
    from stillhouse.release.registry import Registry

    model = str(settings.read(root).get("model", ""))
    registry = Registry.open(environment.place(root), model)
    target(registry, version)
    page = workspace.write_bytes(
        f".stillhouse/receipts/{model}-{version}.html",
        stored_file(registry, version, "receipt.html"),
    )
    return json.loads(stored_file(registry, version, "receipt.json")), page
