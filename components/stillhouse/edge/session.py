"""Run an ONNX model the way a device with one core would."""

from typing import Any

import torch
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.edge.columns import Feeder
from stillhouse.models import onnx_file

# Rows asked at once. Matrix products of other sizes may round otherwise, so that whoever recomputes
# a number asks in the same chunks.
CHUNK = 256


class Session:
    """An ONNX model that answers, on the CPU and in one thread.

    Args:
        data: The file's bytes.
        where: The file's name, for messages.
        schema: Whose codes the categories of the rows are, where it is not the model's own one.

    Raises:
        SourceError: It is not ONNX, or keeps tensors in other files.
    """

    def __init__(
        self, data: bytes, *, where: str = "student.onnx", schema: Schema | None = None
    ) -> None:
        import onnxruntime

        model = onnx_file.read(data, where)
        self.opset = next(
            int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors; its warnings are about graph optimisations
        self._session: Any = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._feed = Feeder(model, schema)
        self.inputs: str | list[str] = (
            self._feed.names if self._feed.columns else self._feed.names[0]
        )
        self.outputs: str = onnx_file.scores_of(model)
        self.batch = onnx_file.batch_of(model)

    def ask(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] of rows [B, *shape], in one call; of a model that takes so many rows
        at once and no others, so many at a time, the last filled up with its last row.
        """
        if not self.batch or self.batch == len(inputs):
            return self._told(inputs)
        size = self.batch
        parts = torch.split(inputs, size)
        filled = [
            torch.cat([part, part[-1:].repeat_interleave(size - len(part), 0)]) for part in parts
        ]
        return torch.cat([self._told(part) for part in filled])[: len(inputs)]

    def _told(self, inputs: Tensor) -> Tensor:
        return torch.from_numpy(
            self._session.run([self.outputs], self._feed(inputs.contiguous().numpy()))[0]
        )

    def logits(self, inputs: Tensor) -> Tensor:
        """Return logits [N, C] of rows [N, *shape], N at least 1, asked 256 at a time."""
        return torch.cat([self.ask(part) for part in torch.split(inputs, CHUNK)])
