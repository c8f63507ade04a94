"""Places that have a few values each, of which an attacker sets some: categories of a table,
silent channels of a series.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.attacks.space import Space

Choice = tuple[tuple[int, int], ...]
"""Places and the values that they are set to; all other places stay."""


class Switches(ABC):
    """P places of rows.

    Attributes:
        space: Bounds, what may change.
    """

    def __init__(self, space: Space) -> None:
        self.space = space

    @property
    @abstractmethod
    def values(self) -> tuple[int, ...]:
        """How many values each place has."""

    @abstractmethod
    def set(self, rows: Tensor, place: int, value: int) -> Tensor:
        """Return rows [B, *shape] with one place set; what is missing stays missing."""

    @abstractmethod
    def size(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return how many places [B] changed; infinite where anything else did, or where a place
        holds what is none of its values.
        """

    def apply(self, clean: Tensor, choice: Choice) -> Tensor:
        """Return the rows [B, *shape] that a choice makes of clean ones; what holds between columns
        still does.
        """
        rows = clean.clone()
        for place, value in choice:
            rows = self.set(rows, place, value)
        return self.space.hold(rows, clean) if self.space.ordered else rows

    def count(self, most: int) -> int:
        """Return how many choices there are of at most so many places."""
        chosen = (
            math.prod(group)
            for places in range(1, min(most, len(self.values)) + 1)
            for group in itertools.combinations(self.values, places)
        )
        return sum(itertools.islice(chosen, 100_000))

    def every(self, most: int) -> Iterator[Choice]:
        """Yield every choice of at most so many places, few first."""
        places = range(len(self.values))
        for few in range(1, min(most, len(self.values)) + 1):
            for group in itertools.combinations(places, few):
                for told in itertools.product(*(range(self.values[place]) for place in group)):
                    yield tuple(zip(group, told, strict=True))

    def draw(self, most: int, generator: torch.Generator) -> Choice:
        """Draw a choice of `most` places."""
        order = torch.randperm(len(self.values), generator=generator)[:most].tolist()
        return tuple(
            (place, int(torch.randint(self.values[place], (), generator=generator)))
            for place in sorted(order)
        )


@dataclass(frozen=True)
class _Place:
    """A column of codes, or the columns of a one-hot group."""

    columns: tuple[int, ...]
    levels: int


class Categories(Switches):
    """The categories and yes/no columns of a table, and groups of columns of which one is 1."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        coded = [
            _Place((column,), int(levels))
            for column, levels in enumerate(space.levels.flatten().tolist())
            if space.levels.dim() and levels
        ]
        self.places = [*coded, *(_Place(group, len(group)) for group in space.groups)]

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(place.levels for place in self.places)

    def set(self, rows: Tensor, place: int, value: int) -> Tensor:
        chosen, rows = self.places[place], rows.clone()
        columns = list(chosen.columns)
        there = ~rows[:, columns].isnan().any(1)
        told = torch.tensor([float(value)], dtype=rows.dtype)
        if len(columns) > 1:
            told = torch.eye(chosen.levels, dtype=rows.dtype)[value]
        rows[:, columns] = torch.where(there[:, None], told, rows[:, columns])
        return rows

    def size(self, inputs: Tensor, clean: Tensor) -> Tensor:
        other = (inputs != clean) & ~(inputs.isnan() & clean.isnan())
        count = torch.zeros(len(clean))
        for place in self.places:
            columns = list(place.columns)
            changed, told = other[:, columns].any(1), inputs[:, columns]
            valid = _one_hot(told) if len(columns) > 1 else _code(told[:, 0], place.levels)
            valid &= ~clean[:, columns].isnan().any(1)
            count += torch.where(changed & ~valid, torch.inf, changed.float())
            other[:, columns] = False
        return torch.where(other.flatten(1).any(1), torch.inf, count)


def _one_hot(told: Tensor) -> Tensor:
    return ((told == 0) | (told == 1)).all(1) & (told.sum(1) == 1)


def _code(told: Tensor, levels: int) -> Tensor:
    return (told == told.round()) & (told >= 0) & (told < levels)


class Silence(Switches):
    """The channels of a series: a silent one reads 0, or the bound that is nearest to it, for all
    of the time.
    """

    def __init__(self, space: Space, channels: int) -> None:
        super().__init__(space)
        open_ = space.mutable.expand(*space.mutable.shape[:-1], channels)
        free = open_.reshape(-1, channels).any(0)
        self.channels = torch.nonzero(free).flatten().tolist()

    @property
    def values(self) -> tuple[int, ...]:
        return (1,) * len(self.channels)

    def set(self, rows: Tensor, place: int, value: int) -> Tensor:  # noqa: ARG002 - silence is one
        channel, rows = self.channels[place], rows.clone()
        quiet = self._quiet(rows)
        rows[..., channel] = torch.where(
            self.space.open(rows)[..., channel], quiet[..., channel], rows[..., channel]
        )
        return rows

    def size(self, inputs: Tensor, clean: Tensor) -> Tensor:
        other = (inputs != clean) & ~(inputs.isnan() & clean.isnan())
        changed = other.flatten(1, -2).any(1)
        silent = torch.where(self.space.open(clean), self._quiet(clean), clean)
        whole = (inputs == silent) | (inputs.isnan() & silent.isnan())
        odd = changed & ~whole.flatten(1, -2).all(1)
        return torch.where(odd.any(1), torch.inf, changed.float().sum(1))

    def _quiet(self, rows: Tensor) -> Tensor:
        return self.space.clip(torch.zeros_like(rows), rows)


def switches_of(space: Space, rows: Tensor) -> Switches:
    """Return what can be switched in rows [B, *shape]: categories of a table [B, D], channels of a
    series [B, T, D].
    """
    return Silence(space, rows.shape[-1]) if rows.dim() == 3 else Categories(space)
