"""Whether a model that is in production can be asked today's rows, so that its answers mean what
the student's do.
"""

from collections.abc import Mapping
from typing import Any

from stillhouse.data.schema import Schema
from stillhouse.evaluation.tasks import TASKS
from stillhouse.models import onnx_file


def mismatch(about: Mapping[str, Any], data: bytes, schema: Schema, where: str) -> str:
    """Return why a model's answers to rows of this schema would mean nothing; empty if they can be
    compared.

    Args:
        about: champion.json; what it tells of classes and features is checked by name.
        data: The model's bytes.
        schema: Of today's rows.
        where: The model's file, for messages.
    """
    graph = onnx_file.read(data, where).graph
    if shape := _other_rows(graph, schema):
        return shape
    answers = _dims(graph.output[0])[-1:]
    if answers and answers[0] not in (0, len(schema.outputs)):
        what = "labels" if schema.labels else "classes"
        return f"it answers {answers[0]} {what}, the data has {len(schema.outputs)}."
    told = about.get("schema")
    if told is not None and told.get("task", schema.task) != schema.task:
        return f"it is a {TASKS[told['task']].words}, and this is a {TASKS[schema.task].words}."
    if told is not None and list(told["classes"]) != list(schema.classes):
        return "its classes have other names or another order."
    if told is not None and list(told.get("labels", ())) != list(schema.labels):
        return "its labels have other names or another order."
    if told is not None and Schema.from_dict(told).quantity != schema.quantity:
        return "it tells another quantity, in another unit or at other levels."
    if (
        told is not None
        and not _named(graph)
        and _categories(told) != _categories(schema.as_dict())
    ):
        return "a column's categories have other names or another order."
    features = [f["name"] for f in (told or about.get("statistics") or {}).get("features", [])]
    if features and features != [f.name for f in schema.features]:
        return "its features have other names or another order."
    return ""


def _named(graph: Any) -> bool:
    """Whether each input is one column [B], so that nothing depends on their order or on codes."""
    return all(len(_dims(value)) == 1 for value in graph.input)


def _other_rows(graph: Any, schema: Schema) -> str:
    """Return why a model does not take such rows; empty if it does."""
    if _named(graph):
        names = [value.name for value in graph.input]
        wrong = names != [feature.name for feature in schema.features]
        return "its features have other names or another order." if wrong else ""
    wanted, given = _dims(graph.input[0])[1:], list(schema.shape)
    if len(wanted) != len(given) or any(
        w not in (0, g) for w, g in zip(wanted, given, strict=True)
    ):
        return f"it takes rows of shape {wanted}, the data has {given}."
    return ""


def _categories(schema: Mapping[str, Any]) -> list[list[str]]:
    return [list(feature.get("categories", ())) for feature in schema["features"]]


def _dims(value: Any) -> list[int]:
    """Return the sizes of a graph's input or output; 0 where any is taken."""
    return [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim]
