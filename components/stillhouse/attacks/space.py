"""Where inputs live: their bounds, the unit in which a change is measured, and what may change at
all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.constraints import parse
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import UsageError, nearest
from stillhouse.models.normalize import FEATURE_AXIS

# Columns of a table have units of their own, so that one epsilon for all of them must count in
# their standard deviations.
_OWN_UNITS = frozenset({"table"})


@dataclass(frozen=True)
class Space:
    """The data space around a set of rows; every tensor is a scalar or [*shape].

    Attributes:
        low: The smallest allowed input; a row whose own value lies below it may keep that value.
        high: The largest one.
        scale: How much raw change counts as 1: 1 where inputs share their unit (images, series),
            each column's standard deviation in tables.
        deviation: Each feature's standard deviation over the rows; 0 where it is constant.
        mutable: Bool: what may change. Categories, yes/no columns, constants and what the schema
            holds fixed may not.
        whole: Bool: what holds whole numbers, and does so under attack too.
        ordered: Pairs of columns, the first above the second (True: or equal), that hold in every
            row; a change that would break one leaves both columns as they were.
        names: Of the features along `axis`; empty where they have none.
        axis: Of a row's shape, along which the features lie.
        coded: Bool: what holds the codes of categories.
        levels: How many levels a category or yes/no column has that may be flipped; 0 elsewhere.
        groups: Columns of a table that hold one category together, one of them 1 and the others 0.
        missing: Bool: which cells the schema lets be missing; an attack never makes use of that, a
            corruption may.
    """

    low: Tensor
    high: Tensor
    scale: Tensor
    deviation: Tensor
    mutable: Tensor
    missing: Tensor = field(default_factory=lambda: torch.tensor(False))
    ordered: tuple[tuple[int, int, bool], ...] = ()
    whole: Tensor = field(default_factory=lambda: torch.tensor(False))
    names: tuple[str, ...] = ()
    axis: int = 0
    coded: Tensor = field(default_factory=lambda: torch.tensor(False))
    levels: Tensor = field(default_factory=lambda: torch.tensor(0))
    groups: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def box(cls, low: float = 0.0, high: float = 1.0) -> "Space":
        """Return a space of equal inputs in [low, high], all mutable; infinite bounds are
        allowed.
        """
        one = torch.tensor(1.0)
        return cls(torch.tensor(low), torch.tensor(high), one, one, torch.tensor(True))

    def one_hot(self, groups: Sequence[Sequence[int]], columns: int) -> "Space":
        """Return the space of tables in which each group of columns is one category: under every
        other threat they stay as they are, and under `category` another one of them is 1.

        Args:
            groups: Columns that hold one category together.
            columns: How many a row has.

        Raises:
            UsageError: A group has fewer than two columns, a column stands in two or is none.

        Example:
            >>> Space.box().one_hot([[2, 3, 4]], columns=5).mutable.tolist()
            [True, True, False, False, False]
        """
        told = [column for group in groups for column in group]
        odd = any(not 0 <= column < columns for column in told)
        if odd or min(map(len, groups), default=2) < 2 or len(set(told)) < len(told):
            raise UsageError(
                "a one-hot group has two columns or more, each in one group.",
                fix="Write one_hot([[2, 3, 4], [5, 6]], columns=7).",
            )
        mutable = self.mutable.expand(columns).clone()
        mutable[told] = False
        return replace(self, mutable=mutable, groups=tuple(tuple(group) for group in groups))

    @classmethod
    def of(cls, schema: Schema, inputs: Tensor) -> "Space":
        """Return the space that a schema and train rows describe.

        A bound that the schema leaves open is the smallest or largest value in the rows. A table's
        columns of whole numbers stay whole.

        Args:
            schema: What a row is.
            inputs: Train rows [N, *shape]; missing cells are NaN.
        """
        axis = FEATURE_AXIS[schema.kind]
        columns = inputs.movedim(axis + 1, -1).reshape(-1, len(schema.features)).double()
        lows, highs, deviations = _range(columns)
        low = torch.tensor(
            [at if f.low is None else f.low for f, at in zip(schema.features, lows, strict=True)]
        )
        high = torch.tensor(
            [at if f.high is None else f.high for f, at in zip(schema.features, highs, strict=True)]
        )
        mutable = torch.tensor(
            [
                _may_change(f) and (d > 0 or schema.kind not in _OWN_UNITS)
                for f, d in zip(schema.features, deviations, strict=True)
            ]
        )
        deviation = torch.tensor(deviations)
        scale = (
            torch.where(deviation > 0, deviation, 1.0)
            if schema.kind in _OWN_UNITS
            else torch.ones_like(deviation)
        )
        view = [1] * len(schema.shape)
        view[axis] = len(schema.features)
        low, high, scale, deviation = (
            t.float().view(view).expand(schema.shape).contiguous()
            for t in (low, high, scale, deviation)
        )
        missing = torch.tensor([f.missing for f in schema.features])
        whole = torch.tensor([schema.tabular and f.kind == "integer" for f in schema.features])
        coded = torch.tensor([f.kind == "category" for f in schema.features])
        levels = torch.tensor([_levels(schema, feature) for feature in schema.features])
        mutable, missing, whole, coded, levels = (
            t.view(view).expand(schema.shape).contiguous()
            for t in (mutable, missing, whole, coded, levels)
        )
        names = tuple(feature.name for feature in schema.features)
        held = _ordered(schema)
        return cls(
            low, high, scale, deviation, mutable, missing, held, whole, names, axis, coded, levels
        )

    def on(self, device: torch.device) -> "Space":
        """Return the same space for rows on a device; itself where it is there."""
        if self.low.device == device:
            return self
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        moved: dict[str, Any] = {
            name: it.to(device) if isinstance(it, Tensor) else it for name, it in held.items()
        }
        return Space(**moved)

    def within(self, reach: Mapping[str, float]) -> "Space":
        """Return the space in which each named feature may move by so much, in its own raw units,
        and no other may move at all: a threat of epsilon 1 in it is that box (linf), or the
        ellipsoid in it (l2).

        Raises:
            UsageError: A feature is unknown, may not change, or its reach is no number above 0.

        Example:
            >>> import torch
            >>> one = torch.ones(2)
            >>> space = Space(-one, one, one, one, one.bool(), names=("age", "weight"))
            >>> space.within({"weight": 2.5}).scale.tolist()
            [1.0, 2.5]
        """
        mutable = torch.zeros_like(self.mutable.expand(self.low.shape))
        scale = torch.ones_like(self.scale.expand(self.low.shape))
        for name, most in reach.items():
            if name not in self.names:
                raise UsageError(
                    f"there is no feature '{name}'.", fix=nearest(name, list(self.names))
                )
            if not (math.isfinite(most) and most > 0):
                raise UsageError(
                    f"the feature '{name}' cannot move by {most}.", fix="Give a number above 0."
                )
            at = self.names.index(name)
            if not bool(self.mutable.select(self.axis, at).any()):
                raise UsageError(
                    f"the feature '{name}' may not change: it is a category, a yes or no, constant "
                    "or held fixed by the schema.",
                    fix="Leave it out.",
                )
            mutable.select(self.axis, at).fill_(True)
            scale.select(self.axis, at).fill_(most)
        return replace(self, scale=scale, mutable=mutable & self.mutable)

    def clip(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return `inputs` [B, *shape] cut at the bounds; values of `clean` that lie outside them
        count as allowed, missing cells stay missing, and what holds between columns still does.
        """
        boxed = torch.minimum(
            torch.maximum(inputs, torch.minimum(self.low, clean)), torch.maximum(self.high, clean)
        )
        return self.hold(boxed, clean)

    def hold(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return `inputs` [B, *shape] in which what holds between columns of the clean rows holds
        still.
        """
        for _ in self.ordered:  # what one constraint puts back may break another
            for above, below, equal in self.ordered:
                broken = _broken(inputs, above, below, equal) & ~_broken(clean, above, below, equal)
                inputs = _put_back(inputs, clean, broken, (above, below))
        return inputs

    def rounded(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return `inputs` [B, *shape] rounded where the clean rows hold whole numbers and must."""
        return torch.where(self._stays_whole(clean), inputs.round(), inputs)

    def inward(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return `inputs` [B, *shape] with whole numbers where the clean rows have them and must,
        each the next one towards its clean value.
        """
        return torch.where(self._stays_whole(clean), clean + (inputs - clean).trunc(), inputs)

    def outward(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return `inputs` [B, *shape] with whole numbers where the clean rows have them and must,
        each the next one away from its clean value.
        """
        change = inputs - clean
        further = clean + change.sign() * change.abs().ceil()
        return torch.where(self._stays_whole(clean), further, inputs)

    def _stays_whole(self, clean: Tensor) -> Tensor:
        return self.whole & (clean == clean.round())

    def open(self, clean: Tensor) -> Tensor:
        """Return which inputs [B, *shape] of these rows may change: mutable ones that are not
        missing.
        """
        return self.mutable & ~clean.isnan()


def _ordered(schema: Schema) -> tuple[tuple[int, int, bool], ...]:
    names = [feature.name for feature in schema.features]
    told = [parse(text, schema, "schema.constraints") for text in schema.constraints]
    return tuple((names.index(one.above), names.index(one.below), one.equal) for one in told)


def _broken(rows: Tensor, above: int, below: int, equal: bool) -> Tensor:
    """Return which rows [B] have a column that should be above another one below it; a missing cell
    breaks nothing.
    """
    high, low = rows[:, above], rows[:, below]
    return high < low if equal else high <= low


def _put_back(rows: Tensor, clean: Tensor, which: Tensor, columns: tuple[int, int]) -> Tensor:
    chosen = torch.zeros(rows.shape[1], dtype=torch.bool, device=rows.device)
    chosen[list(columns)] = True
    return torch.where(which[:, None] & chosen, clean, rows)


def _levels(schema: Schema, feature: Feature) -> int:
    """How many levels a column has that an attacker may flip; 0: it is no such column."""
    if not (schema.tabular and feature.mutable):
        return 0
    return {"category": len(feature.categories), "binary": 2}.get(feature.kind, 0)


def _may_change(feature: Feature) -> bool:
    return feature.mutable and feature.kind in ("number", "integer")


def _range(columns: Tensor) -> tuple[list[float], list[float], list[float]]:
    """Return smallest, largest and standard deviation of each column [N, F], over the cells that
    are there.
    """
    lows, highs, deviations = [], [], []
    for column in columns.T:
        there = column[~column.isnan()]
        lows.append(float(there.min()) if len(there) else 0.0)
        highs.append(float(there.max()) if len(there) else 0.0)
        deviations.append(float(there.std(correction=0)) if len(there) else 0.0)
    return lows, highs, deviations
