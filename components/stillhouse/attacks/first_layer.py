"""The gradient of a convolution with respect to few input channels, in a form that suits them.

Training never asks for it, since nothing lies below a net's first convolution; an attack asks at
every step. Libraries that are tuned for many channels spend most of a step there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from stillhouse.attacks import strided

# Input channels times the kernel's places. Measured on one core: up to 27 the product below takes a
# third to a half of the time, from 72 on several times as much.
MOST_PLACES = 30


class FirstLayer(TorchFunctionMode):
    """While it is entered, convolutions of few channels on the CPU find their input's gradient by
    one matrix product and a sum over overlaps, those with a stride as `strided` says; everything
    else is as it was, and so are the values but for rounding.

    Example:
        >>> images = torch.rand(2, 1, 8, 8, requires_grad=True)
        >>> layer = torch.nn.Conv2d(1, 4, 3).requires_grad_(False)
        >>> with FirstLayer():
        ...     made = layer(images)
        >>> torch.equal(made, layer(images))
        True
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func is F.conv2d and not named and len(args) == 7 and suits(*args):
            inputs, weight, bias, stride, padding, dilation, _ = args
            apply: Callable[..., Tensor] = _Convolution.apply
            return apply(inputs, weight, bias, stride, padding, dilation)
        if func is F.conv2d and not named and len(args) == 7 and strided.suits(*args):
            return strided.convolution(*args[:5])
        return func(*args, **named)


def suits(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,  # noqa: ARG001
    padding: Any,
    dilation: Any,  # noqa: ARG001
    groups: int,
) -> bool:
    """Return whether this form suits a `conv2d` of these arguments."""
    return (
        inputs.requires_grad
        and not weight.requires_grad
        and not (bias is not None and bias.requires_grad)
        and inputs.device.type == "cpu"
        and inputs.dim() == 4
        and groups == 1
        and not isinstance(padding, str)
        and weight[0].numel() <= MOST_PLACES
    )


class _Convolution(torch.autograd.Function):
    """`F.conv2d` whose backward pass knows the inputs only."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Any,
        padding: Any,
        dilation: Any,
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.geometry = inputs.shape[-2:], (dilation, padding, stride)
        return F.conv2d(inputs, weight, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        found = gradient(gradients[0], weight, ctx.size, ctx.geometry)
        return found, None, None, None, None, None


def gradient(outer: Tensor, weight: Tensor, size: torch.Size, geometry: Any) -> Tensor:
    """Return the gradient [B, channels, *size] of a convolution with respect to its inputs.

    Args:
        outer: That with respect to its outputs, [B, O, …].
        weight: [O, channels, k, l].
        size: Height and width of the inputs.
        geometry: Dilation, padding and stride.
    """
    columns = weight.flatten(1).t() @ outer.flatten(2)
    dilation, padding, stride = geometry
    if any(step not in (1, (1, 1)) for step in (dilation, stride)):
        return F.fold(columns, size, weight.shape[-2:], *geometry)
    return _summed(columns.view(len(outer), *weight.shape[1:], *outer.shape[2:]), padding)


def _summed(columns: Tensor, padding: Any) -> Tensor:
    """Return what `F.fold` makes of a filter that goes place by place, to the last bit, in half to
    three quarters of the time: one sum over all rows for each of the filter's places.

    Args:
        columns: [B, channels, k, l, height, width] of the outputs.
        padding: Around the inputs; one number, or two.
    """
    above, left = (padding, padding) if isinstance(padding, int) else padding
    rows, channels, tall, wide, height, width = columns.shape
    found = columns.new_zeros(rows, channels, height + tall - 1, width + wide - 1)
    for down in range(tall):
        for right in range(wide):
            found[..., down : down + height, right : right + width] += columns[:, :, down, right]
    ends = (found.shape[-2] - above, found.shape[-1] - left)
    return found[..., above : ends[0], left : ends[1]].contiguous()
