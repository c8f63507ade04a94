"""Run an exported graph node by node: a list of named operators on named tensors, no code."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.errors import SourceError
from stillhouse.teachers.pt2 import DTYPES, Archive

# Operators that compute; none of them reads a file, as `aten.from_file` does, or draws by chance.
# A name stands for its overloads and for the form that writes in place (`relu_`).
_WORDS = """
abs acos adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
adaptive_max_pool2d add addbmm addcdiv addcmul addmm alias all amax amin any arange argmax
argmin as_strided asin atan atan2 avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm
bitwise_and bitwise_not bitwise_or bmm broadcast_to cat ceil celu channel_shuffle chunk clamp
clamp_max clamp_min clone concat constant_pad_nd contiguous conv1d conv2d conv3d
conv_transpose1d conv_transpose2d convolution cos cosh cumsum detach diagonal div dot dropout
einsum elu embedding eq erf erfc exp expand expand_as expm1 eye fill flatten flip floor
floor_divide fmod full full_like gather ge gelu glu group_norm gru gt hardsigmoid hardswish
hardtanh index index_select instance_norm isfinite isinf isnan layer_norm le leaky_relu lerp
lift_fresh_copy linalg_vector_norm linear linspace log log10 log1p log2 log_sigmoid log_softmax
logical_and logical_not logical_or logical_xor logit logsumexp lstm lt masked_fill masked_select
matmul max max_pool1d max_pool2d max_pool3d maximum mean min minimum mish mm movedim mul mv
nan_to_num narrow native_batch_norm _native_batch_norm_legit_no_training native_group_norm
native_layer_norm ne neg new_full new_ones new_zeros norm ones ones_like outer pad permute
pixel_shuffle pixel_unshuffle pow prelu prod reciprocal reflection_pad1d reflection_pad2d relu
relu6 remainder repeat repeat_interleave replication_pad1d replication_pad2d reshape rms_norm
rnn_relu rnn_tanh roll round rsqrt rsub scalar_tensor scaled_dot_product_attention scatter
scatter_add select selu sigmoid sign silu sin sinh slice softmax _softmax _log_softmax softplus
softsign sort split split_with_sizes sqrt square squeeze stack std sub sum swapaxes sym_size t
tan tanh tensor_split threshold tile to _to_copy topk transpose tril triu true_divide type_as
unbind unflatten unfold unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_nearest2d
upsample_nearest_exact2d var view view_as where zeros zeros_like
"""
KNOWN = frozenset(_WORDS.split())
# Promises about sizes, checked when the program was exported.
PROMISES = frozenset(
    {"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size",
     "sym_constrain_range", "_assert_async"}
)  # fmt: skip
ARITHMETIC = frozenset(
    {"add", "sub", "mul", "floordiv", "mod", "neg", "pow", "truediv", "eq", "ne", "lt", "le", "gt",
     "ge", "getitem"}
)  # fmt: skip
MEMORY = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
_ATEN = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
Values = dict[str, Any]


class Program(nn.Module):
    """An exported program that answers rows.

    Args:
        archive: Graph and weights.
        where: The file, for messages.

    Raises:
        SourceError: It wants an operator that is not known, takes or gives more than one tensor,
            or was exported in training mode.
    """

    def __init__(self, archive: Archive, where: str) -> None:
        super().__init__()
        try:
            self._read(archive, where)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(
                f"its graph cannot be read: {type(error).__name__} {error}.",
                where=where,
                fix="Export it with the torch that is installed here.",
            ) from None

    def _read(self, archive: Archive, where: str) -> None:
        self._where, self._names = where, {}
        users = []
        for number, spec in enumerate(archive.signature["input_specs"]):
            [(kind, about)] = spec.items()
            if kind == "user_input":
                users.append(about["arg"]["as_tensor"]["name"])
                continue
            key = {
                "parameter": "parameter_name",
                "buffer": "buffer_name",
                "tensor_constant": "tensor_constant_name",
            }.get(kind)
            if key is None:
                raise SourceError(
                    f"it takes an input of the kind '{kind}'.",
                    where=where,
                    fix="Export a plain net.",
                )
            self._names[about["arg"]["name"]] = f"held{number}"
            self.register_buffer(f"held{number}", archive.tensors[about[key]])
        outputs = [next(iter(spec)) for spec in archive.signature["output_specs"]]
        if any(kind == "buffer_mutation" for kind in outputs):
            raise SourceError(
                "it changes its own buffers as it answers: it was exported in training mode.",
                where=where,
                fix="Export model.eval().",
            )
        if len(users) != 1 or outputs != ["user_output"]:
            raise SourceError(
                f"it takes {len(users)} tensors and gives {len(outputs)}, not one each.",
                where=where,
                fix="Export a classifier: rows in, logits out.",
            )
        self._input = users[0]
        self._output = archive.graph["outputs"][0]["as_tensor"]["name"]
        self._nodes = [found for node in archive.graph["nodes"] if (found := self._node(node))]

    def _node(self, node: Mapping[str, Any]) -> tuple[Callable[..., Any], Any, Any] | None:
        target = node["target"]
        found = _ATEN.fullmatch(target)
        if found and found[1] in PROMISES:
            return None
        if target.startswith("_operator.") and target.removeprefix("_operator.") in ARITHMETIC:
            return (
                getattr(operator, target.removeprefix("_operator.")),
                node["inputs"],
                node["outputs"],
            )
        if found and found[1].removesuffix("_") in KNOWN | {found[1]} & KNOWN:
            run = getattr(getattr(torch.ops.aten, found[1]), found[2])
            return run, node["inputs"], node["outputs"]
        raise SourceError(
            f"it uses the operator '{str(target)[:80]}', which is not one that is known.",
            where=self._where,
            fix="Export it to ONNX instead, or ask for the operator.",
        )

    @property
    def weights(self) -> int:
        """How many numbers it holds."""
        return sum(tensor.numel() for tensor in self.buffers() if tensor.is_floating_point())

    def forward(self, rows: Tensor) -> Tensor:
        """Return what it answers rows [B, *shape].

        Raises:
            SourceError: It does not take such rows.
        """
        values: Values = {name: getattr(self, held) for name, held in self._names.items()}
        values[self._input] = rows.clone()
        try:
            for run, inputs, outputs in self._nodes:
                given = [
                    (each["kind"], each["name"], _value(each["arg"], values)) for each in inputs
                ]
                places = [value for kind, _, value in given if kind != 2]
                named = {name: value for kind, name, value in given if kind == 2}
                _keep(outputs, run(*places, **named), values)
            answers: Tensor = values[self._output]
        except (RuntimeError, TypeError, KeyError, IndexError, ValueError) as error:
            raise SourceError(
                f"the program cannot answer rows of shape {list(rows.shape)}: "
                f"{str(error).strip().splitlines()[0][:200]}",
                where=self._where,
                fix="Export it for such rows, with a batch of any size (dynamic_shapes).",
            ) from None
        return answers


def _value(arg: Mapping[str, Any], values: Values) -> Any:
    [(kind, held)] = arg.items()
    if kind in ("as_int", "as_ints", "as_float", "as_floats", "as_string", "as_bool", "as_bools"):
        return held
    if kind in ("as_none",):
        return None
    if kind in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float", "as_optional_tensor"):
        return _named(held, values)
    if kind in ("as_tensors", "as_sym_ints", "as_optional_tensors", "as_sym_floats"):
        return [_named(each, values) for each in held]
    if kind == "as_scalar_type":
        return DTYPES[held]
    if kind == "as_memory_format":
        return MEMORY[held]
    if kind == "as_layout":
        return torch.strided
    if kind == "as_device":
        return torch.device("cpu")
    raise ValueError(f"an argument is of the kind '{kind}'")


def _named(held: Mapping[str, Any], values: Values) -> Any:
    """Return a value by its name, or a number that stands in its place."""
    if "name" in held:
        return values[held["name"]]
    [(kind, inner)] = held.items()
    if kind == "as_none":
        return None
    return values[inner] if kind == "as_name" else _value({kind: inner}, values)


def _keep(outputs: Iterable[Mapping[str, Any]], found: Any, values: Values) -> None:
    names = [_names(output) for output in outputs]
    if len(names) == 1:
        found = (found,)
    for name, value in zip(names, found, strict=False):
        if isinstance(name, list):
            values |= dict(zip(name, value, strict=True))
        elif name:
            values[name] = value


def _names(output: Mapping[str, Any]) -> str | list[str]:
    [(kind, held)] = output.items()
    if kind == "as_tensors":
        return [each["name"] for each in held]
    if kind == "as_none":
        return ""
    return str(held.get("name") or held.get("as_name") or "")
