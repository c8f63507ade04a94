"""Losses and their gradients with respect to a model's inputs, for a search that asks at every
step.

On small nets autograd's own work takes as long as much of the arithmetic. Where the model is a
chain of well known calls, they are made and followed back one by one, in the memory that is there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks import first_layer, strided
from stillhouse.attacks.chain import Call, chain_of
from stillhouse.attacks.gradient import uphill
from stillhouse.attacks.meter import Meter

_relu_back = torch.ops.aten.threshold_backward.grad_input
Back = Callable[[Tensor], Tensor]  # from the gradient at what a call made to that at what it got


@dataclass(frozen=True)
class Slope:
    """A model that is asked for its slope again and again.

    Attributes:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        calls: What it does, if it is a chain of calls that are known here.
        meter: Who counts the rows that are asked about.
    """

    model: nn.Module
    calls: tuple[Call, ...] = ()
    meter: Meter | None = None

    @classmethod
    def of(cls, model: nn.Module, rows: Tensor, meter: Meter | None) -> "Slope":
        """Return the slope of a model that will be asked about rows such as these [B, *shape]."""
        learns = any(parameter.requires_grad for parameter in model.parameters())
        if rows.device.type != "cpu" or rows.dtype != torch.float32 or not len(rows) or learns:
            return cls(model)
        calls = chain_of(model, rows[:2])
        return (
            cls(model, tuple(calls), meter) if all(_known(call) for call in calls) else cls(model)
        )

    def uphill(
        self, inputs: Tensor, loss: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [B, C], losses [B] and the direction [B, *shape] in which each row raises
        its own, as `gradient.uphill` does.
        """
        if not self.calls:
            return uphill(self.model, inputs, loss)
        if self.meter is not None:
            self.meter.queries += len(inputs)
        backs: list[Back] = []
        with torch.no_grad():
            made, fresh = inputs.detach(), False
            for call in self.calls:
                made, back = _followed(call, made, fresh=fresh)
                backs.append(back)
                fresh = call.func in (F.conv2d, F.linear)
        with torch.enable_grad():
            logits = made.detach().requires_grad_(True)
            values = loss(logits)
            [slope] = torch.autograd.grad(values.sum(), logits)
        with torch.no_grad():
            for back in reversed(backs):
                slope = back(slope)
        return made, values.detach(), slope


def _known(call: Call) -> bool:
    if call.func is F.conv2d:
        return not call.named and len(call.args) == 6 and not isinstance(call.args[3], str)
    if call.func is F.linear:
        return not call.named
    return call.func is F.relu or (call.func is Tensor.flatten and call.args in ((1,), (1, -1)))


def _followed(call: Call, given: Tensor, *, fresh: bool) -> tuple[Tensor, Back]:
    """Return what a call makes, and how a gradient gets past it; what is fresh, nobody else holds,
    and so may be written over.
    """
    if call.func is F.conv2d:
        return call(given), _conv_back(given, call.args)
    if call.func is F.linear:
        weight: Tensor = call.args[0]
        return call(given), lambda slope: slope @ weight
    if call.func is F.relu:
        made = given.relu_() if fresh else F.relu(given)
        return made, lambda slope: _relu_back(slope, made, 0, grad_input=slope)
    return call(given), lambda slope: slope.view(given.shape)


def _conv_back(given: Tensor, args: tuple[Any, ...]) -> Back:
    weight, _, stride, padding, dilation, groups = args
    size = given.shape[-2:]
    asked = given.detach().requires_grad_(True)
    if first_layer.suits(asked, *args):
        return lambda slope: first_layer.gradient(slope, weight, size, (dilation, padding, stride))
    if strided.suits(asked, *args):
        low = weight.bfloat16()
        return lambda slope: strided.gradient(slope, low, stride[0], padding, size)
    geometry = (stride, padding, dilation, False, (0, 0), groups)
    return lambda slope: torch.ops.aten.convolution_backward(
        slope, given, weight, None, *geometry, (True, False, False)
    )[0]
