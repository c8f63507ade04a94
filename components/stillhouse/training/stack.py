"""k nets of one architecture as one function: their weights lie side by side in one tensor, so that
an optimiser's step is a few operations for all of them.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.models.classifier import Classifier
from stillhouse.training.layers import CannotStack, Held, chain_of


class Stack:
    """The nets, not their normalisation: rows come in normalised, answers go out as the net says
    them.

    Shrinking builds a new stack, for autograd remembers the shapes of the old one.

    Attributes:
        weights: [k, P], matrices first; a leaf that gradients are taken of.
        buffers: By name, [k, *shape].
        generators: One a member, for what layers draw; on the CPU, so that a checkpoint holds for
            every device.
        matrices: How many of the P weights belong to matrices.
    """

    def __init__(
        self,
        net: nn.Module,
        weights: Tensor,
        buffers: dict[str, Tensor],
        generators: Sequence[torch.Generator],
    ) -> None:
        self.weights = weights.detach().requires_grad_()
        self.buffers, self.generators = buffers, tuple(generators)
        self._net = net
        self._chain = chain_of(net, len(weights))
        self._shapes = {name: tuple(held.shape) for name, held in _in_order(net)}
        self._sizes = [held.numel() for _, held in _in_order(net)]
        self.matrices = sum(held.numel() for _, held in _in_order(net) if held.ndim > 1)

    @classmethod
    def of(cls, models: Sequence[Classifier], seeds: Sequence[int]) -> "Stack":
        """Return copies of models' nets side by side.

        Args:
            models: At least one; all of one architecture.
            seeds: Of what their layers draw.

        Raises:
            CannotStack: They differ in more than their weights, or have a layer that cannot run
                side by side; the text says which.
        """
        nets = [model.net for model in models]
        first = _signature(nets[0])
        if any(_signature(net) != first for net in nets[1:]):
            raise CannotStack("their nets differ")
        weights = torch.stack([_flat(net) for net in nets])
        buffers = {
            name: torch.stack([dict(net.named_buffers())[name] for net in nets])
            for name, _ in nets[0].named_buffers()
        }
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return cls(copy.deepcopy(nets[0]), weights, buffers, generators)

    def __len__(self) -> int:
        return len(self.weights)

    def __call__(self, rows: Tensor, *, training: bool) -> Tensor:
        """Return the answers [k, B, C] of the members to rows [k, B, *shape], normalised."""
        parts = torch.split(self.weights, self._sizes, dim=1)
        weights = {
            name: part if len(shape) == 1 else torch.unflatten(part, 1, shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }
        return self._chain(rows, Held(weights, self.buffers, self.generators, training))

    def keep(self, members: Sequence[int]) -> "Stack":
        """Return a smaller stack of some of the members, in that order."""
        at = list(members)
        return Stack(
            self._net,
            self.weights.detach()[at].clone(),
            {name: held[at].clone() for name, held in self.buffers.items()},
            [self.generators[member] for member in at],
        )

    def part(self, members: slice) -> "Stack":
        """Return some neighbours as a stack on the same memory: a change in one is one in both."""
        return Stack(
            self._net,
            self.weights[members],
            {name: held[members] for name, held in self.buffers.items()},
            self.generators[members],
        )

    def cells(self, row: Tensor) -> int:
        """Return how many numbers the layers of one member give for one row [*shape], normalised:
        what autograd holds of a step, about.
        """
        total = 0

        def count(module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ARG001 - torch's
            nonlocal total
            total += output.numel()

        net = copy.deepcopy(self._net).eval()
        for module in net.modules():
            if not list(module.children()):
                module.register_forward_hook(count)
        with torch.no_grad():
            net(row[None])
        return total

    def unload(self, member: int, model: Classifier, weights: Tensor | None = None) -> None:
        """Write a member's weights and buffers into a model of its own.

        Args:
            member: Its place.
            model: Of the same architecture.
            weights: [k, P], in place of the stack's own, such as a moving average of them.
        """
        own = (self.weights if weights is None else weights).detach()[member]
        with torch.no_grad():
            parts = torch.split(own, self._sizes)
            for (_, held), part in zip(_in_order(model.net), parts, strict=True):
                held.copy_(part.view_as(held))
            for name, buffer in model.net.named_buffers():
                buffer.copy_(self.buffers[name][member])


def _in_order(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Matrices first: only they decay."""
    held = list(net.named_parameters())
    return sorted(held, key=lambda named: named[1].ndim <= 1)


def _flat(net: nn.Module) -> Tensor:
    return torch.cat([held.detach().flatten() for _, held in _in_order(net)])


def _signature(net: nn.Module) -> list[object]:
    parts: list[object] = [(name, repr(module)) for name, module in net.named_modules()]
    return [
        *parts,
        [
            (name, held.shape, held.dtype, held.requires_grad)
            for name, held in net.named_parameters()
        ],
    ]
