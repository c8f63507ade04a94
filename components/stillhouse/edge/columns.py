"""A table's model that takes raw columns by name: numbers as they are, categories as the text that
a file holds. The encoding lies inside the ONNX file, so that nobody has to know a code.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import DataError
from stillhouse.models import onnx_file

if TYPE_CHECKING:
    import onnx

# above, a call would spend its time on naming columns: such a table goes in as one array
MOST = 1000
ML = "ai.onnx.ml"
ABSENT = ""  # the text of a missing category, and whatever was never seen: neither has a code

Feed = dict[str, NDArray[Any]]


def by_name(schema: Schema) -> bool:
    """Whether a model of such rows is exported with a column an input."""
    names = [feature.name for feature in schema.features]
    return schema.tabular and len(names) <= MOST and all(names) and len(set(names)) == len(names)


def with_columns(model: "onnx.ModelProto", schema: Schema) -> "onnx.ModelProto":
    """Return a model of rows [B, D] as one of D columns [B], by name.

    A category's text becomes its code; any other text, and the empty one, becomes NaN, a missing
    cell.

    Args:
        model: With one input.
        schema: Its features name the columns.
    """
    import onnx
    from onnx import TensorProto, compose, helper

    inside = "core/"  # before every name inside, so that none is a column's
    while any(feature.name.startswith(inside) for feature in schema.features):
        inside = f"_{inside}"
    core = compose.add_prefix(model, inside)
    graph = core.graph
    given, told = graph.input[0], graph.output[0]
    rows = given.type.tensor_type.shape.dim[0]
    count = rows.dim_param or "rows"
    answer = model.graph.output[0].name
    taken = {feature.name for feature in schema.features}
    public = f"({answer})" if answer in taken else answer
    nodes = [_renamed(node, told.name, public) for node in graph.node]
    axis = helper.make_tensor(f"{inside}axis", TensorProto.INT64, [1], [1])
    inputs, front, flat = [], [], []
    for at, feature in enumerate(schema.features):
        is_text = feature.kind == "category"
        kind = TensorProto.STRING if is_text else TensorProto.FLOAT
        inputs.append(helper.make_tensor_value_info(feature.name, kind, [count]))
        source = feature.name
        if is_text:
            source = f"{inside}code {at}"
            front.append(_encoder(feature, source))
        flat.append(f"{inside}column {at}")
        front.append(helper.make_node("Unsqueeze", [source, axis.name], [flat[-1]]))
    front.append(helper.make_node("Concat", flat, [given.name], axis=1))
    told.name = public
    made = helper.make_graph([*front, *nodes], "model", inputs, [told], [axis, *graph.initializer])
    opsets = [entry for entry in core.opset_import if entry.domain != ML]
    if any(feature.kind == "category" for feature in schema.features):
        opsets.append(helper.make_opsetid(ML, 3))
    whole = helper.make_model(made, opset_imports=opsets, ir_version=core.ir_version)
    whole.functions.extend(core.functions)
    onnx.checker.check_model(whole)
    return whole


def _encoder(feature: Feature, code: str) -> "onnx.NodeProto":
    from onnx import helper

    return helper.make_node(
        "LabelEncoder",
        [feature.name],
        [code],
        domain=ML,
        keys_strings=list(feature.categories),
        values_floats=[float(at) for at in range(len(feature.categories))],
        default_float=float("nan"),
    )


def _renamed(node: "onnx.NodeProto", old: str, new: str) -> "onnx.NodeProto":
    for names in (node.input, node.output):
        for at, name in enumerate(names):
            if name == old:
                names[at] = new
    return node


class Feeder:
    """Turns rows [B, *shape] in data space into what a model takes: the one array, or columns by
    name.

    Args:
        model: With one input of rows, or with a column [B] an input.
        schema: Whose codes the rows' categories are; None: the model's own.
    """

    def __init__(self, model: "onnx.ModelProto", schema: Schema | None = None) -> None:
        self.names = [value.name for value in model.graph.input]
        ranks = [len(value.type.tensor_type.shape.dim) for value in model.graph.input]
        self.columns = ranks == [1] * len(ranks)
        self._kind = onnx_file.FLOATS.get(model.graph.input[0].type.tensor_type.elem_type)
        own = {
            node.input[0]: [key.decode() for key in _attribute(node, "keys_strings").strings]
            for node in model.graph.node
            if node.op_type == "LabelEncoder"
        }
        self._texts = own if schema is None else {**own, **_categories(schema, own)}

    def __call__(self, inputs: NDArray[np.float32]) -> Feed:
        """Return the arrays by name; torch is not needed, so that a server can do this too.

        Raises:
            DataError: The rows have another number of columns.
        """
        if not self.columns:
            return {self.names[0]: inputs.astype(self._kind, copy=False) if self._kind else inputs}
        if inputs.ndim != 2 or inputs.shape[1] != len(self.names):
            raise DataError(
                f"the model takes {len(self.names)} columns, not rows of shape "
                f"{list(inputs.shape[1:])}.",
                where="model",
                fix="Give it rows of its own schema.",
            )
        return {name: self._column(name, inputs[:, at]) for at, name in enumerate(self.names)}

    def _column(self, name: str, values: NDArray[np.float32]) -> NDArray[Any]:
        if name not in self._texts:
            return np.ascontiguousarray(values)
        texts = self._texts[name]
        return np.array(
            [
                texts[int(code)] if code == code and 0 <= code < len(texts) else ABSENT
                for code in values.tolist()
            ],
            dtype=object,
        )


def _categories(schema: Schema, own: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {f.name: list(f.categories) for f in schema.features if f.name in own}


def _attribute(node: "onnx.NodeProto", name: str) -> "onnx.AttributeProto":
    return next(attribute for attribute in node.attribute if attribute.name == name)
