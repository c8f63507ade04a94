"""Static int8: activations in u8, weights in s8 with a scale a channel, as quantise/dequantise
pairs around each product. Weights use seven of their eight bits: without VNNI, two products are
added in 16 bits, which eight would overflow, and the file would answer otherwise on such a machine.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.edge.columns import Feeder
from stillhouse.models import onnx_file
from stillhouse.workspace import write_atomic

# What gains from int8. Everything before the first product (normalisation, one-hot codes, missing
# cells) stays in float32.
PRODUCTS = ("Conv", "MatMul", "Gemm")
CALIBRATION_BATCH = 32


@dataclass(frozen=True)
class Quantized:
    """The int8 model, or why there is none.

    Attributes:
        data: The file's bytes; empty where the model cannot be quantised.
        reason: Why not; empty where it was.
    """

    data: bytes
    reason: str = ""


def quantize(data: bytes, calibration: Tensor) -> Quantized:
    """Return the int8 form of an ONNX model; the same bytes for the same model and rows.

    s8 activations would be slower than float32 on CPUs without VNNI; u8 with s8 weights is the pair
    that kernels are written for.

    Args:
        data: The float32 model's bytes.
        calibration: Train rows [N, *shape], data space, that show each activation's range.
    """
    model = onnx_file.read(data, "student.onnx")
    if not any(node.op_type in PRODUCTS for node in model.graph.node):
        return Quantized(
            b"", f"it has none of {', '.join(PRODUCTS)}, so that nothing would get smaller."
        )
    if not len(calibration):
        return Quantized(b"", "there are no rows to calibrate with.")
    try:
        return Quantized(onnx_file.dump(_slim(_quantized(data, Feeder(model), calibration))))
    # the quantiser's errors share no base; whichever it is, the reason is kept and shown
    except Exception as error:
        return Quantized(
            b"",
            f"ONNX Runtime's quantiser refused it: {type(error).__name__}: "
            f"{str(error).strip()[:200]}",
        )


def _quantized(data: bytes, feed: Feeder, calibration: Tensor) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # The quantiser works from file to file; the folder is gone when it has returned.
    with tempfile.TemporaryDirectory(prefix="quantize-") as folder, _quiet():
        given, shaped, made = (
            Path(folder, f"{stage}.onnx") for stage in ("given", "shaped", "int8")
        )
        write_atomic(given, data)
        quant_pre_process(str(given), str(shaped), skip_symbolic_shape=True)
        quantize_static(
            str(shaped),
            str(made),
            _reader(feed, calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load_model_from_string(made.read_bytes())


def _slim(model: Any) -> Any:
    """Return the model without metadata, but for the names of labels, and without the operator sets
    that the quantiser lists but does not use: other runtimes refuse unknown ones.
    """
    clean = onnx_file.strip(model)
    if labels := onnx_file.labels_of(model):
        clean = onnx_file.with_labels(clean, labels)
    used = {
        message.domain
        for message in onnx_file.messages(clean)
        if type(message).__name__ == "NodeProto"
    }
    kept = sorted(
        (entry for entry in clean.opset_import if entry.domain in used),
        key=lambda entry: str(entry.domain),
    )
    del clean.opset_import[:]
    clean.opset_import.extend(kept)
    return clean


def _reader(feed: Feeder, rows: Tensor) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        """Hands out the rows in order."""

        def __init__(self) -> None:
            self.parts: Iterator[Tensor] = iter(torch.split(rows, CALIBRATION_BATCH))

        def get_next(self) -> dict[str, Any] | None:
            part = next(self.parts, None)
            return None if part is None else feed(part.contiguous().numpy())

    return Rows()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice (pre-process first, mind the opset) off the user's screen."""
    log = logging.getLogger()
    level = log.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
