"""Augmented views: other looks at the same rows, drawn in blocks from stored seeds, so that the
teacher's stored answer belongs to exactly what the student sees.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from stillhouse import config
from stillhouse.config import Spec
from stillhouse.data.constraints import parse
from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Schema
from stillhouse.data.targets import targets_of
from stillhouse.errors import DataError, UsageError
from stillhouse.workspace import dump_json

BLOCK = 8192  # rows that are drawn together; the same seeds give the same views only at this size
# What changes no class in most data of a kind; flips and mixtures have to be asked for.
USUAL: Mapping[str, tuple[Spec, ...]] = {
    "image": ({"name": "shift"},),
    "series": ({"name": "jitter"}, {"name": "scale"}),
    "table": ({"name": "swap"},),
}


class View(ABC):
    """Changes rows, all of a block at once.

    Attributes:
        accepts: The kinds of rows it takes.
        keeps_label: Whether a row's label still holds; if not, only the teacher says what the
            changed row is.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "series", "table"})
    keeps_label: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:
        """Return changed rows [B, *shape], in data space.

        Args:
            inputs: [B, *shape], data space; not to be changed in place.
            schema: What a row is.
            generator: The only source of chance.
        """


@dataclass(frozen=True)
class Views:
    """How rows are looked at.

    Attributes:
        count: V views of a row; view 0 is the row itself.
        augment: The changes that every further view goes through, in order.
        seed: Of all of them.
    """

    count: int
    augment: tuple[Spec, ...]
    seed: int

    @classmethod
    def of(cls, count: int, augment: tuple[Spec, ...], seed: int, kind: str) -> "Views":
        """Return views of rows of a kind; without changes named, the usual ones of that kind.

        Raises:
            UsageError: A change takes other rows.
        """
        chosen = cls(count, augment or USUAL.get(kind, ()) if count > 1 else (), seed)
        for spec, made in zip(chosen.augment, chosen._made(), strict=True):
            if kind not in made.accepts:
                raise UsageError(
                    f"the view '{spec['name']}' takes {' or '.join(sorted(made.accepts))}, not "
                    f"{kind} data.",
                    where="knowledge.augment",
                    fix="`stillhouse plugins` lists the views of each kind.",
                )
        return chosen

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Views":
        """Return what `as_dict` described."""
        return cls(held["count"], tuple(held["augment"]), held["seed"])

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {"count": self.count, "augment": list(self.augment), "seed": self.seed}

    def _made(self) -> list[View]:
        return [
            config.plugin("views", spec, where=f"knowledge.augment.{at}")
            for at, spec in enumerate(self.augment)
        ]

    def look(self, dataset: Dataset, view: int, start: int = 0, stop: int | None = None) -> Dataset:
        """Return view `view` of the rows start … stop; the rows' numbers stay.

        Args:
            dataset: All N rows; a row's partners, where a change mixes rows, come from its block.
            view: From 0, the rows themselves.
            start: Position of the first row; blocks begin at multiples of 8,192 whatever is asked.
            stop: None: to the end.
        """
        stop = len(dataset) if stop is None else min(stop, len(dataset))
        part = dataset.take(torch.arange(start, stop))
        if view == 0 or not len(part):
            return part
        made = self._made()
        first = start // BLOCK * BLOCK
        blocks = [self._block(dataset, made, view, at) for at in range(first, stop, BLOCK)]
        targets = (
            part.targets
            if all(change.keeps_label for change in made)
            else torch.full_like(part.targets, targets_of(part.schema).unknown)
        )
        return replace(
            part, inputs=torch.cat(blocks)[start - first : stop - first], targets=targets
        )

    def _block(self, dataset: Dataset, made: list[View], view: int, at: int) -> Tensor:
        plain = dataset.inputs[at : at + BLOCK]
        inputs, generator = plain, _generator(self.seed, view, at)
        for change, spec in zip(made, self.augment, strict=True):
            inputs = _within(change(inputs, dataset.schema, generator), plain, dataset.schema, spec)
        return inputs

    def all(self, dataset: Dataset) -> Dataset:
        """Return all views one after another, V × N rows; of one view, the data set itself."""
        if self.count == 1:
            return dataset
        parts = [self.look(dataset, view) for view in range(self.count)]
        every = dataset.take(torch.arange(len(dataset)).repeat(self.count))
        return replace(
            every,
            inputs=torch.cat([part.inputs for part in parts]),
            targets=torch.cat([part.targets for part in parts]),
        )


def _generator(seed: int, view: int, at: int) -> torch.Generator:
    digest = hashlib.sha256(dump_json([seed, view, at])).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _within(found: Tensor, plain: Tensor, schema: Schema, spec: Spec) -> Tensor:
    """Return changed rows inside the schema's bounds and constraints.

    Raises:
        DataError: They have another shape, or something that is no number where one was.
    """
    if found.shape != plain.shape or found.dtype != plain.dtype:
        raise DataError(
            f"the view '{spec['name']}' makes rows {list(found.shape)}, {found.dtype}, of "
            f"{list(plain.shape)}, {plain.dtype}.",
            where="knowledge.augment",
            fix="A view keeps shape and type.",
        )
    axis = schema.feature_axis
    shape = [-1 if at == axis else 1 for at in range(found.ndim)]
    infinite = float("inf")
    low = [-infinite if f.low is None else f.low for f in schema.features]
    high = [infinite if f.high is None else f.high for f in schema.features]
    missing = torch.tensor([f.missing for f in schema.features]).view(shape)
    if (~found.isfinite() & ~(found.isnan() & missing)).any():
        raise DataError(
            f"the view '{spec['name']}' makes a value that is no number.",
            where="knowledge.augment",
            fix="Mend it, or leave it out.",
        )
    inside = found.clamp(torch.tensor(low).view(shape), torch.tensor(high).view(shape))
    return _held(inside, plain, schema)


def _held(found: Tensor, plain: Tensor, schema: Schema) -> Tensor:
    """Return changed rows of a table with, where one breaks a constraint, the columns that
    constraints speak of as they were.
    """
    if not schema.constraints:
        return found
    names = [feature.name for feature in schema.features]
    parsed = [parse(text, schema, "prepare.constraints") for text in schema.constraints]
    spoken = torch.zeros(len(names), dtype=torch.bool)
    broken = torch.zeros(len(found), dtype=torch.bool)
    for each in parsed:
        above, below = names.index(each.above), names.index(each.below)
        spoken[[above, below]] = True
        high, low = found[:, above], found[:, below]
        broken |= (high < low) if each.equal else (high <= low)  # never where a cell is missing
    return torch.where(broken[:, None] & spoken, plain, found)
