"""Where inputs live: their bounds, the unit in which a change is measured, and what may change at
all.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from stillhouse.data.constraints import parse
from stillhouse.data.schema import Feature, Schema
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
        ordered: Pairs of columns, the first above the second (True: or equal), that hold in every
            row; a change that would break one leaves both columns as they were.
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

    @classmethod
    def box(cls, low: float = 0.0, high: float = 1.0) -> "Space":
        """Return a space of equal inputs in [low, high], all mutable; infinite bounds are
        allowed.
        """
        one = torch.tensor(1.0)
        return cls(torch.tensor(low), torch.tensor(high), one, one, torch.tensor(True))

    @classmethod
    def of(cls, schema: Schema, inputs: Tensor) -> "Space":
        """Return the space that a schema and train rows describe.

        A bound that the schema leaves open is the smallest or largest value in the rows. Whole
        numbers count as real ones: that can only help an attack.

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
        mutable, missing = (
            t.view(view).expand(schema.shape).contiguous() for t in (mutable, missing)
        )
        return cls(low, high, scale, deviation, mutable, missing, _ordered(schema))

    def clip(self, inputs: Tensor, clean: Tensor) -> Tensor:
        """Return `inputs` [B, *shape] cut at the bounds; values of `clean` that lie outside them
        count as allowed, missing cells stay missing, and what holds between columns still does.
        """
        boxed = torch.minimum(
            torch.maximum(inputs, torch.minimum(self.low, clean)), torch.maximum(self.high, clean)
        )
        for _ in self.ordered:  # what one constraint puts back may break another
            for above, below, equal in self.ordered:
                broken = _broken(boxed, above, below, equal) & ~_broken(clean, above, below, equal)
                boxed = _put_back(boxed, clean, broken, (above, below))
        return boxed

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
    chosen = torch.zeros(rows.shape[1], dtype=torch.bool)
    chosen[list(columns)] = True
    return torch.where(which[:, None] & chosen, clean, rows)


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
