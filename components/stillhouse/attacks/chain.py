"""A model seen as a chain: each of its calls is given what the one before it made.

Nets without branches are such chains, whatever their modules are called. Who knows the chain can
ask a part of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_AGREES = 1e-4  # of logits; rounding is a tenth of it at most, and decides nothing here
_OTHER = 3  # rows that the chain and the model are both asked about


@dataclass(frozen=True)
class Call:
    """One call of torch that the model makes.

    Attributes:
        func: What is called.
        args: All arguments by position but the first, which is what the call before it made.
        named: Those by name.
    """

    func: Callable[..., Any]
    args: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def low(self) -> Tensor:
        """Its weight in bfloat16, made once, for what is asked at every step of a search."""
        weight: Tensor = self.args[0]
        return weight.bfloat16()

    def __call__(self, given: Tensor) -> Tensor:
        made: Tensor = self.func(given, *self.args, **self.named)
        return made


def chain_of(model: nn.Module, rows: Tensor) -> list[Call]:
    """Return the calls that lead from rows to logits; none where the model is no chain, or answers
    otherwise than its chain does.

    Args:
        model: Data space [B, *shape] to logits [B, C], in eval mode; it is asked twice.
        rows: A few [B, *shape], at least one.
    """
    heard = _Heard(rows)
    with torch.no_grad():
        with heard:
            made = model(rows)
        if heard.branched or made is not heard.last or not heard.calls:
            return []
        # other rows, and another number of them: a size or an answer that was written down is seen
        other = rows[:1].flip(-1) * torch.linspace(0.0, 1.0, _OTHER).view(-1, *[1] * rows[0].dim())
        try:
            told = follow(heard.calls, other.clone())
        except (RuntimeError, IndexError):
            return []
        asked = model(other)
    same = told.shape == asked.shape and torch.allclose(told, asked, rtol=_AGREES, atol=_AGREES)
    return heard.calls if same else []


def follow(calls: Sequence[Call], given: Tensor) -> Tensor:
    """Return what the calls make of it, one after the other."""
    for call in calls:
        given = call(given)
    return given


class _Heard(TorchFunctionMode):
    """Writes down the calls that work on what the last one made."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.last, self.branched = rows, False
        self._old: list[Tensor] = []  # kept, so that no other tensor is given their identity

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        made = func(*args, **named)
        given = [*args, *named.values()]
        if not isinstance(made, Tensor):
            self.branched |= isinstance(made, (tuple, list)) and any(
                isinstance(part, Tensor) for part in made
            )
        elif args and args[0] is self.last and not self._uses_old(given[1:]):
            self.calls.append(Call(func, args[1:], named))
            self._old.append(self.last)
            self.last = made
        elif self._uses_old(given):
            self.branched = True
        return made

    def _uses_old(self, given: list[Any]) -> bool:
        known = [self.last, *self._old]
        return any(part is old for part in given for old in known)
