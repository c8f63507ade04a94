"""A torch teacher in ONNX Runtime: asked there if it says the same there."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.dataset import Dataset
from stillhouse.edge.exporter import ExportFailed
from stillhouse.edge.exporters.onnx import Onnx
from stillhouse.errors import SettingsError
from stillhouse.teachers.onnx import Session
from stillhouse.teachers.teacher import Oracle

WHERE = "knowledge.runtime"
TRIED = 256  # rows, evenly spread, on which both are compared
# Of a row's largest logit, or of 1: fp16, in which answers are kept, rounds by five times as much.
AGREES = 1e-4


class Elsewhere(Oracle):
    """A torch teacher whose logits come from ONNX Runtime; its features are still its own."""

    divisible = True

    def __init__(self, oracle: Oracle, session: Session) -> None:
        self.gives, self.parameters, self.module = oracle.gives, oracle.parameters, oracle.module
        self._session = session

    def logits(self, inputs: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        return self._session(inputs)


def elsewhere(oracle: Oracle, rows: Dataset) -> tuple[Oracle, Mapping[str, Any]]:
    """Return a torch teacher as ONNX Runtime answers for it, and what the question to it has to
    say of that.

    Args:
        oracle: The teacher.
        rows: What it will be asked about.

    Raises:
        SettingsError: It is no torch model, cannot be written as ONNX, or answers otherwise there;
            the largest difference is told.
    """
    if oracle.module is None:
        raise SettingsError(
            "the teacher is no torch model that could be moved to ONNX Runtime.",
            where=WHERE,
            fix="Write runtime: torch.",
        )
    try:
        data = Onnx().export(oracle.module, rows.schema)
    except ExportFailed as error:
        raise SettingsError(f"{error.what}", where=WHERE, fix="Write runtime: torch.") from None
    made = Elsewhere(oracle, Session(data, rows.schema, where="the teacher as ONNX"))
    at = torch.linspace(0, len(rows) - 1, min(TRIED, len(rows))).long()
    inputs, numbers = rows.inputs[at], rows.rows[at]
    here, there = oracle.logits(inputs, numbers).float(), made.logits(inputs, numbers)
    apart = (here - there).abs() / here.abs().amax(dim=1, keepdim=True).clamp_min(1.0)
    if not bool((apart <= AGREES).all()):  # nor where one is NaN
        raise SettingsError(
            f"in ONNX Runtime a logit differs by {float(apart.max()):.2g} of its row's largest; "
            f"{AGREES:g} is allowed.",
            where=WHERE,
            fix="Write runtime: torch.",
        )
    return made, {"name": "onnxruntime", "version": version("onnxruntime"), "agrees": AGREES}
