"""One training in several processes: how they share a batch out, and put it together again.

Every process works out the loss of the whole batch, so that a loss may relate any rows to one
another and comes to the same everywhere; only the model's passes are shared out. What follows for
gradients: rows of an answer that was put together have their whole gradient here, and weights of
the model have the gradient of this process's rows, until `add_up`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.distributed as group
from torch import Tensor, nn

from stillhouse.errors import SettingsError, TrainingFailed

KNOWN = ("SingleDeviceStrategy", "DDPStrategy")
"""Fabric's strategies in which each process holds the whole model, by their classes."""


class Launched(Protocol):
    """What is looked at of a Fabric (Lightning's) whose `launch` has been called."""

    @property
    def world_size(self) -> int: ...
    @property
    def global_rank(self) -> int: ...
    @property
    def strategy(self) -> object: ...


@dataclass(frozen=True)
class Ranks:
    """The processes of one training.

    Attributes:
        count: How many they are.
        rank: Which of them this one is, from 0; 0 alone writes.
    """

    count: int = 1
    rank: int = 0

    @classmethod
    def of(cls, fabric: Launched) -> "Ranks":
        """Return the processes that a Fabric has launched, on one machine or on many.

        Raises:
            SettingsError: Its strategy cuts the model into parts.
        """
        strategy = type(fabric.strategy).__name__
        if strategy not in KNOWN:
            raise SettingsError(
                f"'{strategy}' does not leave each process the whole model.",
                where="strategy",
                fix="Use ddp, ddp_spawn or ddp_fork.",
            )
        return cls(fabric.world_size, fabric.global_rank)

    @classmethod
    def joined(cls) -> "Ranks":
        """Return the processes of torch's default group, such as `torchrun` starts; one alone where
        there is none.
        """
        if not group.is_initialized():
            return cls()
        return cls(group.get_world_size(), group.get_rank())

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def sizes(self, rows: int) -> list[int]:
        """Return how many of B rows each process has."""
        size, more = divmod(rows, self.count)
        return [size + (rank < more) for rank in range(self.count)]

    def mine(self, rows: int) -> slice:
        """Return which of B rows this process has."""
        sizes = self.sizes(rows)
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def whole(self, own: Tensor, rows: int) -> Tensor:
        """Return B rows, each from the process that has it."""
        sizes = self.sizes(rows)
        sent = torch.zeros(max(sizes), *own.shape[1:], dtype=own.dtype, device=own.device)
        sent[: len(own)] = own
        found = [torch.empty_like(sent) for _ in sizes]
        _together(group.all_gather, found, sent)
        return torch.cat([part[:size] for part, size in zip(found, sizes, strict=True)])

    def total(self, own: Tensor) -> Tensor:
        """Return the sum over all processes."""
        found = own.detach().clone()
        _together(group.all_reduce, found)
        return found

    def add_up(self, model: nn.Module) -> None:
        """Give every weight of a model the gradient of all rows, after `backward`."""
        if self.count == 1:
            return
        held = [weight.grad for weight in model.parameters() if weight.grad is not None]
        summed = self.total(torch.cat([each.flatten() for each in held]))
        parts = torch.split(summed, [each.numel() for each in held])
        for each, part in zip(held, parts, strict=True):
            each.copy_(part.view_as(each))

    def require(self, smallest: int, step: int) -> None:
        """Refuse a batch that leaves a process without a row, and processes that go on from
        different places.

        Args:
            smallest: Rows of the smallest batch.
            step: At which this process begins.

        Raises:
            SettingsError: There are too few rows.
            TrainingFailed: The others have another checkpoint.
        """
        if smallest < self.count:
            raise SettingsError(
                f"a batch of {smallest} rows cannot be shared by {self.count} processes.",
                where="batch",
                fix="Raise the batch, or train in fewer processes.",
            )
        if self.count > 1:
            found = sorted(set(self.whole(torch.tensor([step]), self.count).tolist()))
            if len(found) > 1:
                raise TrainingFailed(
                    f"the processes go on from different steps: {found}.",
                    where=f"rank {self.rank}",
                    fix="Give all of them the same checkpoint, on a disk that all of them see.",
                )


ALONE = Ranks()


def _together(act: Callable[..., Any], *tensors: Any) -> None:
    try:
        act(*tensors)
    except RuntimeError as error:
        raise TrainingFailed(
            f"another process of the training is gone: {str(error).splitlines()[0]}",
            where="ranks",
            fix="Look at what it said last, and start all of them again: they go on from the "
            "checkpoint.",
        ) from None


class _Share(torch.autograd.Function):
    """Own rows of a batch; all rows have their gradients from whoever has them."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks, ctx.rows = ranks, len(inputs)
        return inputs[ranks.mine(len(inputs))].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.ranks.whole(gradients[0], ctx.rows), None


class _Whole(torch.autograd.Function):
    """All rows of an answer; the loss is everybody's, so that own rows know their gradient."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks, rows: int) -> Tensor:
        ctx.ranks, ctx.rows = ranks, rows
        return ranks.whole(own, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0][ctx.ranks.mine(ctx.rows)].contiguous(), None, None


class _Total(torch.autograd.Function):
    """A sum over all processes, each of which makes something of it for its own rows."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.total(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.ranks.total(gradients[0]), None


def share(inputs: Tensor, ranks: Ranks) -> Tensor:
    """Return this process's rows of a batch [B, …]."""
    return cast(Tensor, _Share.apply(inputs, ranks))  # type: ignore[no-untyped-call]


def whole(own: Tensor, ranks: Ranks, rows: int) -> Tensor:
    """Return the answers [B, …] of which this process has its own rows."""
    return cast(Tensor, _Whole.apply(own, ranks, rows))  # type: ignore[no-untyped-call]


def total(own: Tensor, ranks: Ranks) -> Tensor:
    """Return a sum over all processes, for own rows."""
    return cast(Tensor, _Total.apply(own, ranks))  # type: ignore[no-untyped-call]
