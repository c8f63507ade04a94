"""The model in production, as the gate asks it: today's rows, in the bytes that the pipeline laid
down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.data import prepared
from stillhouse.data.dataset import Dataset
from stillhouse.edge.session import Session
from stillhouse.errors import DataError
from stillhouse.gating.comparable import mismatch
from stillhouse.gating.frozen import frozen_rows
from stillhouse.gating.life import spent
from stillhouse.workspace import StepFiles

CHAMPION, CHAMPION_MODEL = (
    ".stillhouse/champion/champion.json",
    ".stillhouse/champion/champion.onnx",
)


@dataclass(frozen=True)
class Champion:
    """The model in production, asked today's rows.

    Attributes:
        about: What champion.json tells of it; None before the first promotion.
        logits: [N, C]; None where it could not be asked.
        incomparable: Why not.
        val_logits: [N val, C], to choose its threshold by.
    """

    about: Mapping[str, Any] | None
    logits: Tensor | None = None
    incomparable: str = ""
    val_logits: Tensor | None = None

    @property
    def name(self) -> str | None:
        """It in words; None before the first promotion."""
        return None if self.about is None else f"version {self.about['version']}"

    @property
    def entry(self) -> dict[str, Any] | None:
        """What the verdict is conditional on."""
        return (
            None
            if self.about is None
            else {key: self.about[key] for key in ("head", "version", "manifest")}
        )

    def frozen(self, keys: Sequence[str]) -> Tensor | None:
        """Return which of today's test rows [N] it was tested on, bool; None where all of them are,
        or where it left no keys of its rows.
        """
        before = (self.about or {}).get("test_rows")
        inside = None if before is None else frozen_rows(keys, before)
        return None if inside is None else torch.from_numpy(inside)

    def told_rows(self, frozen: Tensor | None, total: int) -> dict[str, int] | None:
        """Return how many of its test rows are left today, are gone, and came since; None where it
        left no keys.
        """
        before = (self.about or {}).get("test_rows")
        if before is None:
            return None
        left = total if frozen is None else int(frozen.sum())
        return {"frozen": left, "gone": max(len(set(before)) - left, 0), "new": total - left}

    def alpha(self, alpha: float, *, life: bool) -> float:
        """Return the error rate of this comparison: all of it, or a life's part.

        Raises:
            DataError: The comparison was not counted.
        """
        if not life or self.about is None:
            return alpha
        if "look" not in self.about:
            raise DataError(
                "gate.life counts comparisons in the ledger, and this one has no number.",
                where=CHAMPION,
                fix="Start with `stillhouse run`, or set gate.life: false.",
            )
        return spent(alpha, int(self.about["look"]))

    def told_life(self, alpha: float, *, life: bool) -> dict[str, float] | None:
        """Return the number of the comparison and what it spends; None where each stands alone."""
        if not life or self.about is None:
            return None
        return {
            "alpha": alpha,
            "look": int(self.about["look"]),
            "spent": self.alpha(alpha, life=True),
        }


def ask_champion(files: StepFiles, test: Dataset) -> Champion:
    """Return the model in production with its answers to the test rows.

    Raises:
        DataError: champion.json is missing: not knowing the champion is not the same as having
            none.
        Corrupt: It is not JSON any more.
        SourceError: champion.onnx is not an ONNX model in one file.
    """
    workspace = files.workspace
    if not (workspace.root / CHAMPION).is_file():
        raise DataError(
            "nobody has written down what is in production.",
            where=CHAMPION,
            fix="Start with `stillhouse run`, which asks the registry.",
        )
    about = workspace.read_json(CHAMPION)
    if about is None:
        return Champion(None)
    model = workspace.root / CHAMPION_MODEL
    data = model.read_bytes() if model.is_file() else b""
    reason = (
        mismatch(about, data, test.schema, CHAMPION_MODEL)
        if data
        else "its model is not here; start with `stillhouse run`."
    )
    if reason:
        return Champion(
            about, incomparable=f"version {about['version']} cannot be asked today's rows: {reason}"
        )
    session = Session(data, where=CHAMPION_MODEL, schema=test.schema)
    val = prepared.load(files, "val")
    return Champion(about, session.logits(test.inputs), val_logits=session.logits(val.inputs))
