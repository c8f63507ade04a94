"""Read an ONNX file that somebody else made, without trusting it; and make one that is the same
bytes every time.

ONNX is a protobuf message without a magic number, and a tensor anywhere in it may say that its
values lie in another file. Such a tensor would let a
model read any file of this machine into its weights, so that none is accepted: a model is one file.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stillhouse.errors import SourceError

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 1_000_000_000  # protobuf itself ends at 2 GB
MAX_NODES = 100_000
FLOATS = {1: "float32", 10: "float16", 11: "float64"}  # ONNX's numbers of types, as numpy's names
LABELS = "labels"  # the metadata's key

OPEN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# What ONNX Runtime's own quantiser writes; the rest of that domain is not needed by a model and not
# looked at by us.
MICROSOFT_OPS = frozenset(
    {
        "DequantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
    }
)


def read(data: bytes, where: str) -> "onnx.ModelProto":
    """Return the model in ONNX bytes, checked.

    Args:
        data: The file's bytes.
        where: The file's name, for messages.

    Raises:
        SourceError: It is no ONNX model (a pickle or a text, say), is too large, keeps a tensor in
            another file, or uses an operator that is not one of ONNX's own or of the quantiser's.
    """
    if len(data) > MAX_BYTES:
        raise SourceError(
            f"the file has {len(data):,} bytes, more than {MAX_BYTES:,}.",
            where=where,
            fix="Export a smaller model.",
        )
    model = _parse(data, where)
    _refuse_external(model, where)
    _refuse_operators(model, where)
    return model


def _parse(data: bytes, where: str) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if data[:1] == b"\x80" or data[:2] == b"PK":
        raise SourceError(
            "the file is a pickle or a zip archive, not ONNX.",
            where=where,
            fix="Export the model to ONNX; nothing is ever unpickled.",
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise SourceError(
            "the file is not ONNX, or it is cut short.", where=where, fix="Export it again."
        ) from None
    if model.ir_version < 1 or not model.opset_import or not model.graph.node:
        raise SourceError(
            "the file holds no ONNX model: no version, no operator set or no node.",
            where=where,
            fix="Export it again.",
        )
    return model


def messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all messages inside it, whichever field holds them: no place for
    a tensor can be forgotten.
    """
    waiting = [message]
    while waiting:
        now = waiting.pop()
        yield now
        for field, value in now.ListFields():
            if field.message_type is not None:
                waiting.extend(value if field.is_repeated else [value])


def _refuse_external(model: "onnx.ModelProto", where: str) -> None:
    import onnx

    for tensor in messages(model):
        if isinstance(tensor, onnx.TensorProto) and (
            tensor.external_data or tensor.data_location != onnx.TensorProto.DEFAULT
        ):
            place = next(
                (entry.value for entry in tensor.external_data if entry.key == "location"), "?"
            )
            raise SourceError(
                f"the tensor '{tensor.name}' keeps its values in another file ('{place[:80]}').",
                where=where,
                fix="Save the model in one file: onnx.save(model, path, "
                "save_as_external_data=False), or external_data=False in torch.onnx.export.",
            )


def _refuse_operators(model: "onnx.ModelProto", where: str) -> None:
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    nodes = [m for m in messages(model) if isinstance(m, onnx.NodeProto)]
    if len(nodes) > MAX_NODES:
        raise SourceError(
            f"the model has {len(nodes):,} nodes, more than {MAX_NODES:,}.",
            where=where,
            fix="Export a smaller model.",
        )
    for node in nodes:
        known = (
            node.domain in OPEN_DOMAINS
            or (node.domain, node.op_type) in own
            or (node.domain == "com.microsoft" and node.op_type in MICROSOFT_OPS)
        )
        if not known:
            raise SourceError(
                f"the operator '{node.domain}.{node.op_type}' is neither ONNX's own nor a "
                "quantiser's.",
                where=where,
                fix="Export the model with the operators of ONNX alone.",
            )


def scores_of(model: "onnx.ModelProto") -> str:
    """Return the output that holds a row of scores for each row: the first of floats that is not
    known to be of another rank, or else the first of all. scikit-learn's converters put the class
    before it.
    """
    for output in model.graph.output:
        kind = output.type.tensor_type
        if kind.elem_type in FLOATS and (not kind.HasField("shape") or len(kind.shape.dim) == 2):
            return str(output.name)
    return str(model.graph.output[0].name)


def batch_of(model: "onnx.ModelProto") -> int:
    """Return how many rows a model takes at once; 0: any number."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    return int(axes[0].dim_value) if axes else 0


def strip(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return a copy without what differs between two exports of the same model: metadata, notes,
    the producer and its paths.
    """
    import onnx

    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    for message in messages(clean):
        for name in ("metadata_props", "doc_string", "producer_name", "producer_version"):
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)
    return clean


def dump(model: "onnx.ModelProto") -> bytes:
    """Return a model's bytes; equal models give equal ones."""
    return bytes(model.SerializeToString(deterministic=True))


def with_labels(model: "onnx.ModelProto", labels: Sequence[str]) -> "onnx.ModelProto":
    """Return a model that says what its outputs' columns are called, in its metadata under
    `labels`, a JSON list.
    """
    model.metadata_props.add(key=LABELS, value=json.dumps(list(labels), ensure_ascii=False))
    return model


def labels_of(model: "onnx.ModelProto") -> tuple[str, ...]:
    """Return what a model calls its outputs' columns; nothing where it does not say, or not in
    words.
    """
    told = next((entry.value for entry in model.metadata_props if entry.key == LABELS), "[]")
    try:
        names = json.loads(told)
    except (ValueError, RecursionError):
        return ()
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if known else ()
