"""A distribution in a few counts: small enough to travel with a model, exact enough to tell later
whether other values are like these.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DISTINCT = 20  # values; more are counted between tenths
MOST_NAMES = 50  # of a category; the rest is counted together
TENTHS = tuple(at / 10 for at in range(1, 10))

Form = Literal["edges", "values", "names"]


@dataclass(frozen=True)
class Sketch:
    """How often the values of one feature fell where.

    Attributes:
        name: The feature.
        form: `edges`: counted between rising numbers; `values`: of few different numbers each;
            `names`: of a category each.
        marks: The edges, values or names.
        counts: Of `edges`, the bins from below the first to above the last; otherwise each mark and
            whatever is none of them. The last count is of missing cells.
    """

    name: str
    form: Form
    marks: tuple[float, ...] | tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """What each count is of, for people."""
        if self.form != "edges":
            return (*(_text(mark) for mark in self.marks), "other", "missing")
        ends = [_text(mark) for mark in self.marks]
        if not ends:
            return ("any", "missing")
        between = [f"{low} to {high}" for low, high in pairwise(ends)]
        return (f"up to {ends[0]}", *between, f"above {ends[-1]}", "missing")

    def count(self, values: NDArray[Any]) -> tuple[int, ...]:
        """Return the counts of other values of this feature [N], in this sketch's places."""
        if self.form == "names":
            return _counted(values, self.marks, np.array([v is None for v in values], dtype=bool))
        numbers = values.astype(np.float64)
        missing = np.isnan(numbers)
        if self.form == "values":
            return _counted(numbers, self.marks, missing)
        places = np.searchsorted(np.array(self.marks, dtype=np.float64), numbers[~missing])
        bins = np.bincount(places, minlength=len(self.marks) + 1)
        return (*(int(n) for n in bins), int(missing.sum()))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {
            "name": self.name,
            "form": self.form,
            "marks": list(self.marks),
            "counts": list(self.counts),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Sketch":
        """Return the sketch that `as_dict` described."""
        return cls(value["name"], value["form"], tuple(value["marks"]), tuple(value["counts"]))


def sketch(name: str, values: NDArray[Any]) -> Sketch:
    """Return the sketch of one feature's values [N]: numbers with NaN, or names with None, where
    missing.
    """
    if values.dtype == object:
        names, counts = np.unique([v for v in values if v is not None], return_counts=True)
        kept = sorted(names[np.argsort(-counts, kind="stable")][:MOST_NAMES].tolist())
        bare = Sketch(name, "names", tuple(str(mark) for mark in kept), ())
    else:
        known = np.unique(values[~np.isnan(values)])
        if len(known) <= DISTINCT:
            bare = Sketch(name, "values", tuple(float(mark) for mark in known), ())
        else:
            tenths = np.unique(np.quantile(values[~np.isnan(values)], TENTHS, method="lower"))
            bare = Sketch(name, "edges", tuple(float(mark) for mark in tenths), ())
    return Sketch(name, bare.form, bare.marks, bare.count(values))


def _counted(
    values: NDArray[Any], marks: tuple[Any, ...], missing: NDArray[np.bool_]
) -> tuple[int, ...]:
    each = [int((values[~missing] == mark).sum()) for mark in marks]
    return (*each, int((~missing).sum()) - sum(each), int(missing.sum()))


def _text(mark: float | str) -> str:
    return mark if isinstance(mark, str) else f"{mark:.4g}"
