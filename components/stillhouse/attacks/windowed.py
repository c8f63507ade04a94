"""What a model answers to images of which one window has changed: only what sees the window is
worked out again.

A search that changes a few pixels at a time asks nearly the same question again and again. Where
the model is a chain that begins with convolutions, the layers' answers to the rows as they were are
kept, and a layer is asked about the part that the change can reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stillhouse.attacks.chain import Call, chain_of, follow
from stillhouse.attacks.frame import Window

# Multiplications that a question must save for its bookkeeping to pay.
_LEAST_SAVED = 10_000_000
_MOST_KEPT = 2**25  # numbers that may be kept: 128 MiB

_POINTWISE = frozenset(
    {
        *(F.relu, torch.relu, Tensor.relu, F.leaky_relu, F.relu6, F.hardtanh, F.hardswish),
        *(F.elu, F.gelu, F.silu, F.softplus, torch.tanh, Tensor.tanh, torch.sigmoid),
        Tensor.sigmoid,
    }
)
_ARITHMETIC = frozenset({Tensor.add, Tensor.sub, Tensor.mul, Tensor.div})


@dataclass(frozen=True)
class _Layer:
    """A call that looks at a window of places, and those after it that look at one place each.

    Attributes:
        call: What is asked; its own padding is 0, for the rows come padded.
        then: What follows.
        kernel: Places that one output sees, as (height, width); so are the next three.
        stride: From one output to the next.
        padding: Zeros at each end.
        dilation: From one place that is seen to the next.
        cost: Multiplications an output place.
    """

    call: Call
    then: tuple[Call, ...]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    cost: int

    def made(self, padded: Tensor) -> Tensor:
        return follow(self.then, self.call(padded))

    def reached(self, window: Window, size: Sequence[int]) -> Window:
        """Return which outputs, of so many, see a window of the inputs; at least one."""
        places = []
        for axis, part in enumerate(window):
            reach = (self.kernel[axis] - 1) * self.dilation[axis] - self.padding[axis]
            first = min(max(0, -((reach - part.start) // self.stride[axis])), size[axis] - 1)
            last = min((part.stop - 1 + self.padding[axis]) // self.stride[axis], size[axis] - 1)
            places.append(slice(first, max(last, first) + 1))
        return places[0], places[1]

    def seen(self, window: Window) -> Window:
        """Return which padded inputs a window of the outputs sees."""
        places = []
        for axis, part in enumerate(window):
            start = part.start * self.stride[axis]
            end = (part.stop - 1) * self.stride[axis]
            places.append(slice(start, end + (self.kernel[axis] - 1) * self.dilation[axis] + 1))
        return places[0], places[1]


class Windowed:
    """A model and its layers' answers to rows, that one window after the other may change.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 2))
        >>> rows, window = torch.rand(4, 1, 12, 12), (slice(3, 5), slice(6, 8))
        >>> changed = rows.clone()
        >>> changed[:, :, *window] = 0.0
        >>> known = Windowed.of(net, rows)
        >>> known.hold(rows)
        >>> told = known.ask(changed[:, :, *window], window)
        >>> torch.allclose(told, net(changed), atol=1e-5)
        True
    """

    def __init__(self, layers: list[_Layer], rest: list[Call], sizes: list[Sequence[int]]) -> None:
        self._layers, self._rest, self._sizes = layers, rest, sizes
        self._linear = _linear(rest, sizes[-1])  # [height, width, channels, D], if so it goes on
        self._kept: list[Tensor] = []  # [N, height, width, channels], padded; the last one is not
        self._last: list[tuple[Window, Tensor]] = []  # what the last question put into `_kept`
        self._sums = self._new_sums = torch.zeros(0)  # [N, D], of the linear layer

    @classmethod
    def of(cls, model: nn.Module, rows: Tensor) -> "Windowed | None":
        """Return it for a model that is a chain of convolutions and the like; None for any other.

        Args:
            model: Data space [B, channels, height, width] to logits [B, C], in eval mode.
            rows: [N, …], those that it will hold.
        """
        if rows.dim() != 4 or not len(rows) or rows.device.type != "cpu":
            return None
        layers, rest = _layers(chain_of(model, rows[:2]))
        if not layers or not rest:
            return None
        sizes: list[Sequence[int]] = [rows.shape[2:]]
        kept, made = rows[0].numel(), rows[:1]
        with torch.no_grad():
            for layer in layers:
                made = layer.made(_padded(made, layer.padding))
                sizes.append(made.shape[2:])
                kept += made.numel()
        return cls(layers, rest, sizes) if kept * len(rows) <= _MOST_KEPT else None

    def pays(self, window: Window, rows: int) -> bool:
        """Return whether enough is saved when so many rows are asked about such a window; it is a
        matter of counting, so that a search goes the same way every time.
        """
        saved = 0
        for layer, size in zip(self._layers, self._sizes[1:], strict=True):
            window = layer.reached(window, size)
            saved += layer.cost * (size[0] * size[1] - _places(window))
        if self._linear is not None:
            saved += self._linear.numel() - self._linear[window].numel()
        return saved * rows >= _LEAST_SAVED

    def hold(self, rows: Tensor) -> None:
        """Keep what the layers make of rows [N, channels, height, width]."""
        self._kept, made = [], rows
        with torch.no_grad():
            for layer in self._layers:
                padded = _padded(made, layer.padding)
                self._kept.append(padded.permute(0, 2, 3, 1).contiguous())
                made = layer.made(padded)
            self._kept.append(made.permute(0, 2, 3, 1).contiguous())
            if self._linear is not None:
                self._sums = follow(self._rest[:2], made)

    def ask(self, values: Tensor, window: Window) -> Tensor:
        """Return the logits [N, C] of the held rows with a window changed; what is held stays.

        Args:
            values: [N, channels, …]: what is in the window.
            window: Rows and columns.
        """
        self._last, new = [], values
        with torch.no_grad():
            for layer, kept, size in zip(self._layers, self._kept, self._sizes[1:], strict=False):
                self._last.append((_moved(window, layer.padding), new.permute(0, 2, 3, 1)))
                out = layer.reached(window, size)
                crop = layer.seen(out)
                part = kept[:, crop[0], crop[1]].clone()
                _put(part, crop, *self._last[-1])
                new, window = layer.made(part.permute(0, 3, 1, 2)), out
            new = new.permute(0, 2, 3, 1)
            self._last.append((window, new))
            if self._linear is None:
                whole = self._kept[-1].clone()
                whole[:, window[0], window[1]] = new
                return follow(self._rest, whole.permute(0, 3, 1, 2))
            change = new - self._kept[-1][:, window[0], window[1]]
            weights = self._linear[window].flatten(0, 2)
            self._new_sums = torch.addmm(self._sums, change.flatten(1), weights)
            return follow(self._rest[2:], self._new_sums)

    def take(self, which: Tensor) -> None:
        """Hold what the last question changed in some of the rows: their positions [k]."""
        for kept, (window, new) in zip(self._kept, self._last, strict=True):
            kept[:, window[0], window[1]][which] = new[which]
        if self._linear is not None:
            self._sums[which] = self._new_sums[which]

    def keep(self, stay: Tensor) -> None:
        """Hold some of the rows only: which, bool [N]."""
        self._kept = [kept[stay] for kept in self._kept]
        if self._linear is not None:
            self._sums = self._sums[stay]


def _layers(calls: list[Call]) -> tuple[list[_Layer], list[Call]]:
    """Return the layers that a chain begins with, and the calls that are left."""
    layers: list[_Layer] = []
    for at, call in enumerate(calls):
        layer = _windowed(call)
        if layer is None and not _pointwise(call):
            return layers, calls[at:]
        if layer is None and not layers:
            layer = _Layer(Call(_same), (call,), (1, 1), (1, 1), (0, 0), (1, 1), 0)
        elif layer is None:
            last = layers.pop()
            layer = _Layer(**{**vars(last), "then": (*last.then, call)})
        layers.append(layer)
    return layers, []


def _linear(rest: list[Call], size: Sequence[int]) -> Tensor | None:
    """Return the weights [height, width, channels, D] of a linear layer over all places, if it is
    the first that follows: its sums then change by what the window adds to them.
    """
    if len(rest) < 2 or rest[0].func not in (Tensor.flatten, torch.flatten) or rest[0].named:
        return None
    if rest[0].args not in ((1,), (1, -1)) or rest[1].func is not F.linear or rest[1].named:
        return None
    weight: Tensor = rest[1].args[0]
    return weight.detach().view(len(weight), -1, *size).permute(2, 3, 1, 0).contiguous()


def _windowed(call: Call) -> _Layer | None:
    """Return a convolution or an unpadded pooling as a layer; None for any other call."""
    if call.func is F.conv2d and not call.named and len(call.args) == 6:
        weight, bias, stride, padding, dilation, groups = call.args
        if isinstance(padding, str):
            return None
        kernel = (weight.shape[2], weight.shape[3])
        steps, spread = _pair(stride), _pair(dilation)
        bare = Call(F.conv2d, (weight, bias, steps, 0, spread, groups))
        if groups == 1:
            columns = weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous()
            bare = Call(_product, (columns, bias, kernel, steps, spread))
        return _Layer(bare, (), kernel, steps, _pair(padding), spread, weight.numel())
    if call.func is F.max_pool2d and len(call.args) == 1 and not call.named["return_indices"]:
        (kernel, named) = (_pair(call.args[0]), call.named)
        stride = _pair(named["stride"] or kernel)
        if _pair(named["padding"]) == (0, 0) and not named["ceil_mode"]:
            return _Layer(call, (), kernel, stride, (0, 0), _pair(named["dilation"]), 0)
    return None


def _pointwise(call: Call) -> bool:
    """Return whether a call treats every place of a plane alike and by itself."""
    if call.func is F.batch_norm:
        return not call.named.get("training", True)
    if call.func in _ARITHMETIC and len(call.args) == 1 and not call.named:
        with_what = call.args[0]
        return not isinstance(with_what, Tensor) or (
            with_what.numel() == 1 or (with_what.dim() in (3, 4) and with_what.shape[-2:] == (1, 1))
        )
    return call.func in _POINTWISE


def _same(rows: Tensor) -> Tensor:
    return rows


def _product(
    rows: Tensor,
    columns: Tensor,
    bias: Tensor | None,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Return an unpadded convolution as one matrix product. Here no two questions have the same
    shape, and libraries compile a convolution anew for each.
    """
    last = rows.permute(0, 2, 3, 1)
    size = [
        (last.shape[1 + i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in (0, 1)
    ]
    row, down, across, channel = last.stride()
    seen = last.as_strided(
        (len(rows), *size, *kernel, last.shape[3]),
        (
            row,
            down * stride[0],
            across * stride[1],
            down * dilation[0],
            across * dilation[1],
            channel,
        ),
    ).reshape(-1, len(columns))
    made = seen @ columns if bias is None else torch.addmm(bias, seen, columns)
    return made.view(len(rows), *size, -1).permute(0, 3, 1, 2)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _padded(rows: Tensor, by: tuple[int, int]) -> Tensor:
    return F.pad(rows, (by[1], by[1], by[0], by[0]))


def _moved(window: Window, by: tuple[int, int]) -> Window:
    down, across = window
    return (
        slice(down.start + by[0], down.stop + by[0]),
        slice(across.start + by[1], across.stop + by[1]),
    )


def _places(window: Window) -> int:
    down, across = window
    return len(range(down.start, down.stop)) * len(range(across.start, across.stop))


def _put(part: Tensor, crop: Window, window: Window, new: Tensor) -> None:
    """Write what is new in a window [b, height, width, channels] into what a crop shows of it."""
    into, out_of = [], []
    for shown, changed in zip(crop, window, strict=True):
        first = max(shown.start, changed.start)
        last = max(first, min(shown.stop, changed.stop))
        into.append(slice(first - shown.start, last - shown.start))
        out_of.append(slice(first - changed.start, last - changed.start))
    shown_of_it = part[:, into[0], into[1]]
    if shown_of_it.numel():  # a place that no output sees is in no crop
        shown_of_it.copy_(new[:, out_of[0], out_of[1]])
