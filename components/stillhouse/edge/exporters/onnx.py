"""ONNX in one file: no external data, no metadata but the names of several labels a row, the same
bytes for the same weights.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Interval
from torch import nn

from stillhouse.data.schema import Schema
from stillhouse.edge.columns import by_name, with_columns
from stillhouse.edge.exporter import INPUTS, Exporter, ExportFailed
from stillhouse.evaluation.tasks import task_of
from stillhouse.models import onnx_file
from stillhouse.models.recurrent import as_onnx

# warns of every operator of torchvision's when that is not installed
_LOGGER = "torch.onnx._internal.exporter._registration"

Opset = Annotated[int, Interval(ge=18, le=23)]


class Onnx(Exporter):
    """torch.onnx's exporter, with the batch dimension left open; a table's columns are inputs by
    their own names (up to 1,000 of them), other rows are one input `inputs`,
    outputs `logits`, `predictions` of a quantity, or `log_odds` of several labels a row, whose
    names stand in the file's metadata under `labels`, a JSON list.
    """

    def __init__(self, *, opset: Opset = 20) -> None:
        self.opset = opset

    def export(self, model: nn.Module, schema: Schema) -> bytes:
        # Two rows of zeros: with one, the exporter may take the batch for a constant.
        example = torch.zeros(2, *schema.shape)
        try:
            with _quiet():
                program = torch.onnx.export(
                    model,
                    (example,),
                    input_names=[INPUTS],
                    output_names=[task_of(schema).output],
                    dynamic_shapes=({0: torch.export.Dim("rows", min=1)},),
                    opset_version=self.opset,
                    external_data=False,
                    custom_translation_table={torch.ops.stillhouse.gru.default: as_onnx},
                    dynamo=True,
                    verbose=False,
                )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[0]
            raise ExportFailed(
                f"the student cannot be written as ONNX: {reason}",
                where="export",
                fix="Choose another architecture or opset.",
            ) from error
        if program is None:
            raise ExportFailed(
                "the ONNX exporter returned nothing.", where="export", fix="Choose another opset."
            )
        made = onnx_file.strip(program.model_proto)
        named = with_columns(made, schema) if by_name(schema) else made
        if schema.labels:
            named = onnx_file.with_labels(named, schema.labels)
        return onnx_file.dump(named)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on its own deprecations, and on torchvision, off the user's
    screen.
    """
    logger = logging.getLogger(_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
