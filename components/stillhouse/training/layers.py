"""The layers that k nets of one architecture can run side by side: matrix products in a batch,
convolutions in groups, normalisation over the channels of all.

Members lie either apart, [k, B, …], or merged, [B, k × channels, …], as convolutions want them; a
layer says which of the two it takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.models.layers import Average, ChannelsFirst, Residual

ELEMENTWISE = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Tanh,
    nn.Sigmoid,
    nn.Identity,
)
BY_CHANNEL = (
    Average,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
)
BY_ROW = (nn.Flatten, ChannelsFirst)
# These very classes: one that is derived from them may do something else with its weights.
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


@dataclass
class Held:
    """What the layers of a stack share while it runs.

    Attributes:
        weights: By the parameter's name, [k, *its shape].
        buffers: By the buffer's name, [k, *its shape]; running statistics are moved in place.
        generators: A member's each, for what a layer draws.
        training: Whether batch statistics and dropout are on.
    """

    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]
    generators: Sequence[torch.Generator]
    training: bool


class Layer(Protocol):
    """One layer of all members."""

    @property
    def merged(self) -> bool | None:
        """Whether it takes rows merged, or apart; None: either."""
        ...

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        """Return what the members' layers answer."""
        ...


class CannotStack(Exception):
    """A net has a layer that cannot run side by side with its like; the text names it."""


@dataclass(frozen=True)
class _Plain:
    """A layer without weights."""

    module: Callable[[Tensor], Tensor]
    merged: bool | None

    def __call__(self, rows: Tensor, held: Held) -> Tensor:  # noqa: ARG002
        return self.module(rows)


@dataclass(frozen=True)
class _ByRow:
    """A layer without weights that changes the axes of each row."""

    module: Callable[[Tensor], Tensor]
    merged: bool | None = False

    def __call__(self, rows: Tensor, held: Held) -> Tensor:  # noqa: ARG002
        return torch.unflatten(self.module(rows.flatten(0, 1)), 0, rows.shape[:2])


@dataclass(frozen=True)
class _Linear:
    name: str
    merged: bool | None = False

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        weight, bias = held.weights[f"{self.name}.weight"], held.weights.get(f"{self.name}.bias")
        flat = rows.flatten(1, -2)
        told = (
            torch.bmm(flat, weight.mT)
            if bias is None
            else torch.baddbmm(bias[:, None], flat, weight.mT)
        )
        return told if rows.ndim == 3 else torch.unflatten(told, 1, rows.shape[1:-1])


@dataclass(frozen=True)
class _Convolution:
    name: str
    module: nn.Conv1d | nn.Conv2d
    merged: bool | None = True

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        weight, bias = held.weights[f"{self.name}.weight"], held.weights.get(f"{self.name}.bias")
        convolve = F.conv1d if isinstance(self.module, nn.Conv1d) else F.conv2d
        told: Tensor = convolve(
            rows,
            laid(weight.flatten(0, 1)),
            None if bias is None else bias.flatten(),
            self.module.stride,
            self.module.padding,
            self.module.dilation,
            self.module.groups * len(weight),
        )
        return told


@dataclass(frozen=True)
class _BatchNorm:
    name: str
    module: nn.BatchNorm1d | nn.BatchNorm2d
    merged: bool | None = True

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        scale, shift = held.weights[f"{self.name}.weight"], held.weights[f"{self.name}.bias"]
        if held.training:
            held.buffers[f"{self.name}.num_batches_tracked"].add_(1)
        return F.batch_norm(
            rows,
            held.buffers[f"{self.name}.running_mean"].view(-1),
            held.buffers[f"{self.name}.running_var"].view(-1),
            scale.flatten(),
            shift.flatten(),
            held.training,
            self.module.momentum or 0.0,
            self.module.eps,
        )


@dataclass(frozen=True)
class _LayerNorm:
    name: str
    module: nn.LayerNorm
    merged: bool | None = False

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        shape = self.module.normalized_shape
        told = F.layer_norm(rows, shape, eps=self.module.eps)
        scale, shift = (held.weights[f"{self.name}.{part}"] for part in ("weight", "bias"))
        between = (len(rows), *[1] * (rows.ndim - 1 - len(shape)), *shape)
        return told * scale.reshape(between) + shift.reshape(between)


@dataclass(frozen=True)
class _Dropout:
    share: float
    merged: bool | None = False

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        if not held.training:
            return rows
        kept = torch.empty_like(rows, device="cpu")
        for own, generator in zip(kept, held.generators, strict=True):
            own.bernoulli_(1 - self.share, generator=generator)
        return rows * kept.div_(1 - self.share).to(rows.device)


@dataclass(frozen=True)
class Chain:
    """Layers one after the other; between them rows are laid as the next one takes them.

    Attributes:
        layers: In their order.
        members: k.
    """

    layers: Sequence[Layer]
    members: int
    merged: bool | None = field(default=False, init=False)

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        merged = False
        for layer in self.layers:
            if layer.merged is not None and layer.merged != merged:
                rows = merge(rows) if layer.merged else part(rows, self.members)
                merged = layer.merged
            rows = layer(rows, held)
        return part(rows, self.members) if merged else rows


@dataclass(frozen=True)
class _Residual:
    change: Chain
    merged: bool | None = False

    def __call__(self, rows: Tensor, held: Held) -> Tensor:
        return rows + self.change(rows, held)


def merge(rows: Tensor) -> Tensor:
    """Return rows [k, B, channels, …] as [B, k × channels, …]."""
    return laid(rows.transpose(0, 1).flatten(1, 2))


def part(rows: Tensor, members: int) -> Tensor:
    """Return rows [B, k × channels, …] as [k, B, channels, …]."""
    return torch.unflatten(rows, 1, (members, -1)).transpose(0, 1)


def laid(maps: Tensor) -> Tensor:
    """Return maps with channels last in memory where they are images: convolutions in groups are
    about twice as fast so.
    """
    if maps.ndim == 4:
        return maps.contiguous(memory_format=torch.channels_last)
    return maps.contiguous()


def chain_of(net: nn.Module, members: int, prefix: str = "") -> Chain:
    """Return the layers of `members` nets like this one.

    Args:
        net: A layer, or a sequence of them.
        members: k.
        prefix: What the names of its parameters begin with.

    Raises:
        CannotStack: One of its layers is not known here, two share their weights, or some are
            frozen.
    """
    _require_own_weights(net)
    if type(net) is not nn.Sequential:
        return Chain((_layer(net, prefix.removesuffix("."), members),), members)
    found: list[Layer] = []
    for name, module in _children(net):
        path = f"{prefix}{name}"
        if type(module) is nn.Sequential:
            found.extend(chain_of(module, members, f"{path}.").layers)
        else:
            found.append(_layer(module, path, members))
    return Chain(tuple(found), members)


def _children(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers of a sequence by name, one that stands in two places twice: torch's own
    `named_children` leaves the second out.
    """
    every = net.named_modules(remove_duplicate=False)
    return [(name, module) for name, module in every if name and "." not in name]


def _require_own_weights(net: nn.Module) -> None:
    own = {name for name, _ in net.named_parameters()}
    for name, held in net.named_parameters(remove_duplicate=False):
        if name not in own:
            raise CannotStack(f"'{name}', which another layer shares")
        if not held.requires_grad:
            raise CannotStack(f"'{name}', which is frozen")


def _layer(module: nn.Module, name: str, members: int) -> Layer:
    if module._forward_hooks or module._forward_pre_hooks:
        raise CannotStack(f"'{name}', which has a hook")
    if type(module) in ELEMENTWISE:
        return _Plain(module, None)
    if type(module) in BY_CHANNEL:
        return _Plain(module, True)
    if type(module) in BY_ROW:
        return _ByRow(module)
    if type(module) is nn.Dropout:
        return _Dropout(module.p)
    if type(module) is Residual:
        return _Residual(chain_of(module.change, members, f"{name}.change."))
    return _weighted(module, name)


def _weighted(module: nn.Module, name: str) -> Layer:
    if type(module) not in WEIGHTED:
        raise CannotStack(f"'{name}' ({type(module).__name__})")
    if isinstance(module, nn.Linear):
        return _Linear(name)
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.padding_mode == "zeros":
        return _Convolution(name, module)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and _usual(module):
        return _BatchNorm(name, module)
    if isinstance(module, nn.LayerNorm) and module.bias is not None:
        return _LayerNorm(name, module)
    raise CannotStack(f"'{name}' ({type(module).__name__})")


def _usual(module: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return bool(module.affine and module.track_running_stats and module.momentum is not None)
