"""ONNX operators that look at one number at a time, or normalise a row, as torch has them.

Their defaults are the specification's (onnx.ai/onnx/operators).
"""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F


def _gelu(inputs: Tensor, *, approximate: str | bytes = "none") -> Tensor:
    told = approximate.decode() if isinstance(approximate, bytes) else approximate
    return F.gelu(inputs, approximate=told)


def _hard_sigmoid(inputs: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return (alpha * inputs + beta).clamp(0.0, 1.0)


def _selu(inputs: Tensor, *, alpha: float = 1.67326319, gamma: float = 1.05070102) -> Tensor:
    return gamma * torch.where(inputs > 0, inputs, alpha * torch.expm1(inputs.clamp(max=0.0)))


def _prelu(inputs: Tensor, slope: Tensor) -> Tensor:
    return torch.where(inputs < 0, slope * inputs, inputs)


def _layer_norm(
    inputs: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,  # noqa: ARG001 - what it is computed in; here always float32
) -> Tensor:
    return F.layer_norm(inputs, inputs.shape[axis:], scale, bias, epsilon)


def _largest(*parts: Tensor) -> Tensor:
    return reduce(torch.maximum, parts)


def _smallest(*parts: Tensor) -> Tensor:
    return reduce(torch.minimum, parts)


def _global_max_pool(inputs: Tensor) -> Tensor:
    return inputs.amax(dim=tuple(range(2, inputs.dim())), keepdim=True)


def _reduce_sum(
    inputs: Tensor,
    given: Tensor | None = None,
    *,
    axes: Sequence[int] | None = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Tensor:
    told = list(axes or []) if given is None else given.tolist()
    if not told and noop_with_empty_axes:
        return inputs
    return inputs.sum(dim=told or list(range(inputs.dim())), keepdim=bool(keepdims))


ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Erf": torch.erf,
    "Gelu": _gelu,
    "GlobalMaxPool": _global_max_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": F.hardswish,
    "LayerNormalization": _layer_norm,
    "Log": torch.log,
    "Max": _largest,
    "Min": _smallest,
    "Mish": F.mish,
    "PRelu": _prelu,
    "Reciprocal": torch.reciprocal,
    "ReduceSum": _reduce_sum,
    "Selu": _selu,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
}
