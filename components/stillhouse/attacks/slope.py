"""Losses and their gradients with respect to a model's inputs, for a search that asks at every
step.

On small nets autograd's own work takes as long as much of the arithmetic. Where the model is a
chain of well known calls, they are made and followed back one by one, in the memory that is there.
Planes are kept with their channels last, as convolutions like them, and made for a few rows at a
time, so that they stay in the processor's cache.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks import first_layer, strided
from stillhouse.attacks.chain import Call, chain_of
from stillhouse.attacks.gradient import uphill
from stillhouse.attacks.meter import Meter

_relu_back = torch.ops.aten.threshold_backward.grad_input
Back = Callable[[Tensor], Tensor]  # from the gradient at what a call made to that at what it got

# Numbers that a call on planes may make at a time. Measured on one core whose cache holds 2**17: a
# third or twice as many take about as long, all rows at once a quarter longer.
_AT_ONCE = 3 * 2**16
_MANY = 2**15  # weights of a product from which on bfloat16 takes a third of the time


@dataclass(frozen=True)
class Slope:
    """A model that is asked for its slope again and again.

    Attributes:
        model: Data space [B, *shape] to logits [B, C], in eval mode.
        planes: What it does first, if it is a chain of calls that are known here: all calls up to
            the last convolution and its flattening.
        rest: What follows.
        meter: Who counts the rows that are asked about.
        few: How many rows go through `planes` at a time.
    """

    model: nn.Module
    planes: tuple[Call, ...] = ()
    rest: tuple[Call, ...] = ()
    meter: Meter | None = None
    few: int = 1

    @classmethod
    def of(cls, model: nn.Module, rows: Tensor, meter: Meter | None) -> "Slope":
        """Return the slope of a model that will be asked about rows such as these [B, *shape]."""
        learns = any(parameter.requires_grad for parameter in model.parameters())
        if rows.device.type != "cpu" or rows.dtype != torch.float32 or not len(rows) or learns:
            return cls(model)
        calls = chain_of(model, rows[:2])
        if not all(_known(call) for call in calls):
            return cls(model)
        calls, sizes = _channels_last(calls, rows[:1])
        first = next((at for at, call in enumerate(calls) if call.func is F.linear), len(calls))
        if _of_planes(calls[first:]):
            first = len(calls)
        few = max(8, _AT_ONCE // max(sizes) // 8 * 8)
        return cls(model, tuple(calls[:first]), tuple(calls[first:]), meter, few)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The whole chain; empty where autograd is asked."""
        return (*self.planes, *self.rest)

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
        with torch.no_grad():
            sizes = self._sizes(len(inputs))
            parts = [_forth(self.planes, part) for part in torch.split(inputs.detach(), sizes)]
            made = torch.cat([made for made, _ in parts]) if len(parts) > 1 else parts[0][0]
            made, back = _forth(self.rest, made)
        with torch.enable_grad():
            logits = made.detach().requires_grad_(True)
            values = loss(logits)
            [slope] = torch.autograd.grad(values.sum(), logits)
        with torch.no_grad():
            slope = back(slope)
            backs = zip(parts, torch.split(slope, sizes), strict=True)
            found = torch.cat([back(part) for (_, back), part in backs])
        return made, values.detach(), found

    def _sizes(self, rows: int) -> list[int]:
        """Return how many rows go together: few each time, the last time half as many to half as
        many again.
        """
        times = max(1, round(rows / self.few))
        return [self.few] * (times - 1) + [rows - self.few * (times - 1)]


def _known(call: Call) -> bool:
    if call.func is F.conv2d:
        return not call.named and len(call.args) == 6 and not isinstance(call.args[3], str)
    if call.func is F.linear:
        return not call.named
    return call.func is F.relu or (call.func is Tensor.flatten and call.args in ((1,), (1, -1)))


def _channels_last(calls: Sequence[Call], row: Tensor) -> tuple[list[Call], list[int]]:
    """Return calls that do the same with planes whose channels come last, and how many numbers each
    makes of a row [1, *shape].
    """
    told, sizes, planes = list[Call](), [row.numel()], torch.Size()
    last = max((at for at, call in enumerate(calls) if call.func is F.linear), default=-1)
    for at, call in enumerate(calls):
        before = row
        with torch.no_grad():
            row = call(row)
        sizes.append(row.numel())
        if call.func is F.conv2d:
            weight = call.args[0].detach().clone(memory_format=torch.channels_last)
            call = replace(call, args=(weight, *call.args[1:]))
        elif call.func is Tensor.flatten and before.dim() == 4 and _of_planes(told) and at < last:
            call, planes = Call(_flattened), before.shape[1:]
        elif call.func is F.linear and planes:
            weight = call.args[0].detach()
            weight = weight.view(-1, *planes).permute(0, 2, 3, 1).flatten(1).contiguous()
            call, planes = replace(call, args=(weight, *call.args[1:])), torch.Size()
        told.append(call)
    return told, sizes


def _of_planes(calls: Sequence[Call]) -> bool:
    return any(call.func is F.conv2d for call in calls)


def _flattened(planes: Tensor) -> Tensor:
    """Return planes [B, channels, height, width] as [B, height * width * channels]."""
    return planes.permute(0, 2, 3, 1).flatten(1)


def _forth(calls: Sequence[Call], made: Tensor) -> tuple[Tensor, Back]:
    """Return what calls make of rows, and the way back."""
    backs, fresh = list[Back](), False
    for call in calls:
        made, back = _followed(call, made, fresh=fresh)
        backs.append(back)
        fresh = call.func in (F.conv2d, F.linear)

    def whole(slope: Tensor) -> Tensor:
        for back in reversed(backs):
            slope = back(slope)
        return slope

    return made, whole


def _followed(call: Call, given: Tensor, *, fresh: bool) -> tuple[Tensor, Back]:
    """Return what a call makes, and how a gradient gets past it; what is fresh, nobody else holds,
    and so may be written over.
    """
    if call.func is F.conv2d:
        return call(given), _conv_back(given, call)
    if call.func is F.linear:
        return call(given), _linear_back(call)
    if call.func is F.relu:
        made = given.relu_() if fresh else F.relu(given)
        return made, lambda slope: _relu_back(slope, made, 0, grad_input=slope)
    if call.func is _flattened:
        last = (len(given), *given.shape[2:], given.shape[1])
        return call(given), lambda slope: slope.view(last).permute(0, 3, 1, 2)
    return call(given), lambda slope: slope.view(given.shape)


def _linear_back(call: Call) -> Back:
    """In bfloat16 where it pays, as `strided` does: only a direction comes of it."""
    weight: Tensor = call.args[0]
    if weight.numel() < _MANY or not strided.has_bfloat16():
        return lambda slope: slope @ weight
    return lambda slope: (slope.bfloat16() @ call.low).float()


def _conv_back(given: Tensor, call: Call) -> Back:
    weight, _, stride, padding, dilation, groups = call.args
    size = given.shape[-2:]
    asked = given.detach().requires_grad_(True)
    if first_layer.suits(asked, *call.args):
        return lambda slope: first_layer.gradient(slope, weight, size, (dilation, padding, stride))
    if strided.suits(asked, *call.args):
        return lambda slope: strided.gradient(slope, call.low, stride[0], padding, size)
    geometry = (stride, padding, dilation, False, (0, 0), groups)
    return lambda slope: torch.ops.aten.convolution_backward(
        slope, given, weight, None, *geometry, (True, False, False)
    )[0]
