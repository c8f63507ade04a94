"""An ONNX graph as a torch module, node by node, for the gradients that ONNX Runtime does not give.

Some fifty operators, those of plain classifiers. Whoever uses it compares its answers with
the file's own: what it computes differently must never decide anything.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.errors import SourceError
from stillhouse.models import onnx_file
from stillhouse.models.onnx_elementwise import ELEMENTWISE
from stillhouse.models.onnx_recurrent import gru

if TYPE_CHECKING:
    import onnx

Operator = Callable[..., Tensor]


class Graph(nn.Module):
    """A model with an output of scores, and one input of rows or a column [B] an input; a
    category that the model takes as text is given by its code.

    Args:
        model: As `onnx_file.read` returns it; its weights are copied.
        where: The file's name, for messages.

    Raises:
        SourceError: An operator, or a form of it, is not among those that are known; it is named.
    """

    def __init__(self, model: "onnx.ModelProto", where: str = "model") -> None:
        super().__init__()
        from onnx import numpy_helper

        graph = model.graph
        self.constants = {
            one.name: torch.tensor(numpy_helper.to_array(one)) for one in graph.initializer
        }
        inputs = [one for one in graph.input if one.name not in self.constants]
        ranks = {len(one.type.tensor_type.shape.dim) for one in inputs}
        self.columns = ranks == {1}
        if len(inputs) != 1 and not self.columns:
            raise SourceError(
                f"the model has {len(inputs)} inputs that are no columns.",
                where=where,
                fix="It can be attacked as a black box.",
            )
        self.given, self.told = [one.name for one in inputs], onnx_file.scores_of(model)
        asked = {name for one in graph.node for name in one.input} | {self.told}
        self.steps: list[tuple[Operator, list[str], list[str], dict[str, Any]]] = []
        for node in graph.node:
            if node.op_type == "LabelEncoder" and self.columns and node.input[0] in self.given:
                # rows hold a category's code, so that nothing is left to look up
                self.steps.append((_as_it_is, list(node.input), list(node.output), {}))
                continue
            if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
                raise SourceError(
                    f"there is no gradient for its operator {node.op_type}.",
                    where=where,
                    fix="It can be attacked as a black box.",
                )
            if asked & set(node.output[1:]) - {""}:
                raise SourceError(
                    f"there is no gradient for a second output of its operator {node.op_type}.",
                    where=where,
                    fix="It can be attacked as a black box.",
                )
            told = {one.name: _value(one) for one in node.attribute}
            step = (OPERATORS[node.op_type], list(node.input), list(node.output), told)
            self.steps.append(step)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores [B, C] for rows [B, *shape].

        Raises:
            SourceError: A node cannot be computed; its error is told.
        """
        given_rows = inputs.unbind(1) if self.columns else [inputs]
        values: dict[str, Tensor] = {
            **self.constants,
            **dict(zip(self.given, given_rows, strict=True)),
        }
        for operator, given, made, told in self.steps:
            parts = [values[name] if name else None for name in given]
            try:
                values[made[0]] = operator(*parts, **told)
            except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
                raise SourceError(
                    f"'{made[0]}' cannot be computed here: {error}.",
                    where="the model's graph",
                    fix="It can be attacked as a black box.",
                ) from None
        return values[self.told]


def _value(attribute: "onnx.AttributeProto") -> Any:
    from onnx import AttributeProto, helper, numpy_helper

    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return torch.tensor(numpy_helper.to_array(value))
    return value.decode() if isinstance(value, bytes) else value


def _as_it_is(code: Tensor) -> Tensor:
    return code


def _gemm(
    left: Tensor,
    right: Tensor,
    bias: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    made = (left.t() if transA else left) @ (right.t() if transB else right) * alpha
    return made if bias is None else made + bias * beta


def _spread(pads: Sequence[int] | None, axes: int) -> list[int]:
    """Return ONNX's pads (all begins, then all ends) as torch's, the last axis first."""
    told = list(pads or [0] * 2 * axes)
    return [pad for axis in reversed(range(axes)) for pad in (told[axis], told[axis + axes])]


def _only(auto_pad: str) -> None:
    if auto_pad not in ("NOTSET", "VALID"):
        raise NotImplementedError(f"auto_pad {auto_pad}")


def _conv(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] = (),  # noqa: ARG001 - the weight tells it
    auto_pad: str = "NOTSET",
) -> Tensor:
    _only(auto_pad)
    axes = weight.dim() - 2
    apply: Operator = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
    one = [1] * axes
    spread = _spread(pads, axes)
    even = all(spread[at] == spread[at + 1] for at in range(0, 2 * axes, 2))
    padding = list(reversed(spread[::2])) if even else [0] * axes
    padded = inputs if even else F.pad(inputs, spread)
    return apply(padded, weight, bias, strides or one, padding, dilations or one, group)


def _max_pool(
    inputs: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    storage_order: int = 0,  # noqa: ARG001 - of indices, which nobody asks for
    auto_pad: str = "NOTSET",
) -> Tensor:
    _only(auto_pad)
    axes = len(kernel_shape)
    apply: Operator = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[axes]
    padded = F.pad(inputs, _spread(pads, axes), value=-torch.inf)
    one = [1] * axes
    return apply(padded, kernel_shape, strides or one, 0, dilations or one, bool(ceil_mode))


def _average_pool(
    inputs: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
) -> Tensor:
    _only(auto_pad)
    if pads and any(pads) and not count_include_pad:
        raise NotImplementedError("padding that is not counted")
    axes = len(kernel_shape)
    apply: Operator = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[axes]
    padded = F.pad(inputs, _spread(pads, axes))
    return apply(padded, kernel_shape, strides or [1] * axes, 0, bool(ceil_mode))


def _batch_norm(
    inputs: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,  # noqa: ARG001 - of training
    training_mode: int = 0,
) -> Tensor:
    if training_mode:
        raise NotImplementedError("training mode")
    return F.batch_norm(inputs, mean, variance, scale, bias, eps=epsilon)


def _reshape(inputs: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    told = shape.tolist()
    sizes = [
        inputs.shape[at] if size == 0 and not allowzero else size for at, size in enumerate(told)
    ]
    return inputs.reshape(sizes)


def _flatten(inputs: Tensor, *, axis: int = 1) -> Tensor:
    return inputs.reshape(
        -1 if axis == 0 else int(inputs.shape[:axis].numel()), inputs.shape[axis:].numel()
    )


def _axes(inputs: Tensor, told: Sequence[int] | None, given: Tensor | None) -> list[int]:
    axes = list(told or []) if given is None else given.tolist()
    return [axis % inputs.dim() for axis in axes] or list(range(inputs.dim()))


def _reduce_mean(
    inputs: Tensor,
    given: Tensor | None = None,
    *,
    axes: Sequence[int] | None = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,  # noqa: ARG001
) -> Tensor:
    return inputs.mean(dim=_axes(inputs, axes, given), keepdim=bool(keepdims))


def _squeeze(
    inputs: Tensor, given: Tensor | None = None, *, axes: Sequence[int] | None = None
) -> Tensor:
    if given is None and axes is None:
        return inputs.squeeze()
    return inputs.squeeze(tuple(_axes(inputs, axes, given)))


def _unsqueeze(
    inputs: Tensor, given: Tensor | None = None, *, axes: Sequence[int] | None = None
) -> Tensor:
    for axis in sorted(list(axes or []) if given is None else given.tolist()):
        inputs = inputs.unsqueeze(axis)
    return inputs


def _clip(
    inputs: Tensor,
    least: Tensor | None = None,
    most: Tensor | None = None,
    *,
    min: float | None = None,
    max: float | None = None,
) -> Tensor:
    low = least if least is not None else None if min is None else torch.tensor(min)
    high = most if most is not None else None if max is None else torch.tensor(max)
    return inputs if low is None and high is None else inputs.clamp(low, high)


def _cast(inputs: Tensor, *, to: int, saturate: int = 1) -> Tensor:  # noqa: ARG001
    if to != 1:
        raise NotImplementedError("a cast to another type than float32")
    return inputs.float()


def _gather(inputs: Tensor, at: Tensor, *, axis: int = 0) -> Tensor:
    if at.dim() > 1:
        raise NotImplementedError("a table of places")
    places = torch.where(at < 0, at + inputs.shape[axis], at).reshape(-1)
    found = inputs.index_select(axis, places)
    return found if at.dim() else found.squeeze(axis)


def _slice(
    inputs: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    along = list(range(len(starts))) if axes is None else axes.tolist()
    by = [1] * len(along) if steps is None else steps.tolist()
    if min(by, default=1) < 1:
        raise NotImplementedError("a slice backwards")
    chosen = [slice(None)] * inputs.dim()
    for axis, start, end, step in zip(along, starts.tolist(), ends.tolist(), by, strict=True):
        chosen[axis] = slice(start, end, step)
    return inputs[tuple(chosen)]


def _pad(
    inputs: Tensor,
    pads: Tensor,
    value: Tensor | None = None,
    axes: Tensor | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    if mode != "constant":
        raise NotImplementedError(f"padding by {mode}")
    along = list(range(inputs.dim())) if axes is None else axes.tolist()
    before, after = pads.view(2, -1).tolist()
    ends = [(0, 0)] * inputs.dim()
    for axis, first, last in zip(along, before, after, strict=True):
        ends[axis] = (first, last)
    told = [end for pair in reversed(ends) for end in pair]  # torch begins at the last axis
    return F.pad(inputs, told, value=0.0 if value is None else float(value))


OPERATORS: dict[str, Operator] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Neg": torch.neg,
    "Exp": torch.exp,
    "Sqrt": torch.sqrt,
    "Pow": torch.pow,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Identity": lambda inputs: inputs,
    "Dropout": lambda inputs, *rest, **told: inputs,
    "LeakyRelu": lambda inputs, *, alpha=0.01: F.leaky_relu(inputs, alpha),
    "Elu": lambda inputs, *, alpha=1.0: F.elu(inputs, alpha),
    "Softmax": lambda inputs, *, axis=-1: inputs.softmax(axis),
    "LogSoftmax": lambda inputs, *, axis=-1: inputs.log_softmax(axis),
    "MatMul": torch.matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda inputs: inputs.mean(
        dim=tuple(range(2, inputs.dim())), keepdim=True
    ),
    "BatchNormalization": _batch_norm,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": lambda inputs, *, perm: inputs.permute(perm),
    "Concat": lambda *parts, axis: torch.cat(parts, dim=axis),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "ReduceMean": _reduce_mean,
    "Clip": _clip,
    "Gather": _gather,
    "IsNaN": torch.isnan,
    "Equal": torch.eq,
    "Where": torch.where,
    "Slice": _slice,
    "Pad": _pad,
    "GRU": gru,
    "Cast": _cast,
    "Constant": lambda *, value: value,
    **ELEMENTWISE,
}
