"""The gradient of a strided convolution with respect to its input, as a convolution without stride.

An output of a stride of s reaches s x s kinds of inputs, each through its own share of the kernel.
So the gradient is a plain convolution of the outputs' gradient with s x s times as many channels,
whose planes are then woven into one. Where the processor multiplies bfloat16 itself, this is done
in it: only a direction comes of it, never an answer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Input channels; measured on one core: from 8 on it takes half of the library's time.
_LEAST_CHANNELS = 8


def suits(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> bool:
    """Return whether it pays for a `conv2d` of these arguments: one stride above 1 both ways, many
    channels, a processor that has bfloat16, and no gradient but the inputs'.
    """
    return (
        inputs.requires_grad
        and not weight.requires_grad
        and not (bias is not None and bias.requires_grad)
        and inputs.device.type == "cpu"
        and inputs.dim() == 4
        and inputs.dtype == torch.float32
        and groups == 1
        and tuple(dilation) == (1, 1)
        and stride[0] == stride[1] > 1
        and not isinstance(padding, str)
        and weight.shape[1] >= _LEAST_CHANNELS
        and has_bfloat16()
    )


def has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 by instructions of its own."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def convolution(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any
) -> Tensor:
    """Return `conv2d` as it is, whose backward pass is `gradient` and knows the inputs only."""
    apply: Callable[..., Tensor] = _Strided.apply
    return apply(inputs, weight, bias, stride, padding)


def gradient(
    outer: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], size: torch.Size
) -> Tensor:
    """Return the gradient [B, channels, height, width] with respect to a convolution's inputs.

    Args:
        outer: That with respect to its outputs, [B, O, …].
        weight: [O, channels, k, l], in the precision that is wanted.
        stride: s, in both directions.
        padding: At each end, both directions.
        size: Height and width.
    """
    outputs, channels, high, wide = weight.shape
    rows, columns = -(-high // stride), -(-wide // stride)  # of the kernel's share for each kind
    whole = F.pad(weight, (0, columns * stride - wide, 0, rows * stride - high))
    shares = whole.view(outputs, channels, rows, stride, columns, stride).flip(2, 4)
    shares = shares.permute(3, 5, 1, 0, 2, 4).reshape(-1, outputs, rows, columns)
    last = torch.channels_last
    planes = F.conv2d(
        outer.to(weight.dtype).contiguous(memory_format=last),
        shares.contiguous(memory_format=last),
        padding=(rows - 1, columns - 1),
    )
    count, _, down, across = planes.shape
    woven = (
        planes.permute(0, 2, 3, 1)
        .view(count, down, across, stride, stride * channels)
        .transpose(2, 3)
        .reshape(count, down * stride, across * stride, channels)
        .permute(0, 3, 1, 2)
    )
    short = [size[axis] + padding[axis] - woven.shape[axis + 2] for axis in (0, 1)]
    if max(short) > 0:  # what no output reaches has no gradient
        woven = F.pad(woven, (0, max(short[1], 0), 0, max(short[0], 0)))
    top, left = padding
    found = woven[:, :, top : top + size[0], left : left + size[1]]
    # laid as the planes of such convolutions are: what meets them in another layout takes long
    return found.to(outer.dtype).contiguous(memory_format=last)


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.geometry = inputs.shape[-2:], (stride[0], padding)
        return F.conv2d(inputs, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        stride, padding = ctx.geometry
        found = gradient(gradients[0], weight.bfloat16(), stride, padding, ctx.size)
        return found, None, None, None, None
