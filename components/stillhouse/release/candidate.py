"""What is about to be registered: the bytes that the gate judged, read once, so that what is
uploaded is what was judged.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.data.schema import Schema
from stillhouse.errors import Corrupt
from stillhouse.release import manifest
from stillhouse.workspace import Workspace, parse_tensors, sha256_bytes

if TYPE_CHECKING:
    from torch import Tensor

VERDICT, CHAMPION = "verdict.json", "champion.json"
# What goes into the version beside the fingerprinted files, where it is there.
BESIDE = {
    "receipt.json": "artifacts/report/receipt.json",
    "receipt.html": "artifacts/report/receipt.html",
    VERDICT: "artifacts/gate/verdict.json",
    CHAMPION: ".stillhouse/champion/champion.json",
}


@dataclass(frozen=True)
class Candidate:
    """A student that passed, with all that is kept beside it.

    Attributes:
        files: Name → bytes: the fingerprinted ones, receipt, page, card, verdict.json,
            champion.json, statistics.json where there is one.
        example: One row of inputs [1, *shape] in data space.
        answer: The logits [1, C] that export recorded for it.
    """

    files: Mapping[str, bytes]
    example: "Tensor"
    answer: "Tensor"

    @property
    def fingerprint(self) -> str:
        """What makes this student this student."""
        return manifest.fingerprint({name: sha256_bytes(data) for name, data in self.files.items()})

    @property
    def evidence(self) -> str:
        """The sha256 of the gate's verdict."""
        return sha256_bytes(self.files[VERDICT])

    @property
    def over(self) -> str:
        """The sha256 of the champion.json that the gate compared with."""
        return sha256_bytes(self.files[CHAMPION])

    @property
    def schema(self) -> Schema:
        """What its rows look like."""
        return Schema.from_dict(json.loads(self.files["schema.json"]))


def of_workspace(workspace: Workspace, extra: Mapping[str, bytes] | None = None) -> Candidate:
    """Return the student that lies in the workspace.

    Args:
        workspace: Its steps up to report have run.
        extra: More files, such as `card.md`.

    Raises:
        Corrupt: A step's file is missing, or the export knows other rows than prepare.
    """
    files = {name: _read(workspace, place) for name, place in {**manifest.PLACES, **BESIDE}.items()}
    test = parse_tensors(
        _read(workspace, "artifacts/prepare/test.safetensors"),
        where="artifacts/prepare/test.safetensors",
    )
    outcomes = parse_tensors(
        _read(workspace, "artifacts/export/outcomes.safetensors"),
        where="artifacts/export/outcomes.safetensors",
    )
    logits = outcomes["fp32_logits"]
    if len(logits) != len(test["inputs"]):
        raise Corrupt(
            "export answered other rows than prepare holds.",
            where="artifacts/export/outcomes.safetensors",
            fix="Run the step export again.",
        )
    finite = test["inputs"].flatten(1).isfinite().all(dim=1)
    row = int(
        finite.int().argmax()
    )  # the first row without missing cells: JSON, which MLflow keeps the example in, has no NaN
    return Candidate(
        {**files, **(extra or {})}, test["inputs"][row : row + 1], logits[row : row + 1]
    )


def _read(workspace: Workspace, place: str) -> bytes:
    path = workspace.root / place
    if not path.is_file():
        raise Corrupt("the file is missing.", where=place, fix="Run the step that makes it again.")
    return path.read_bytes()
