"""What can be said of a row in a few words, so that rows can be sorted into slices that have a
name: its class, a column's value or its part of the range, a cluster of features.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FEW = 8  # values of a number that are told one by one
EDGES = (0.25, 0.5, 0.75)  # quantiles between which a number's range is cut
TAILS = (0.02, 0.05)  # of the rows, at either end of the range
LEAST_SHARE = 0.01  # of the rows: a rarer category, as every smaller slice, is an anecdote
NEAR = 1e-9
EXACT = 17  # digits that tell every float from its neighbours
# Of a measure's largest value: what differs by no more is the rounding of float32.
ROUNDING = 1.2e-7


@dataclass(frozen=True)
class Traits:
    """P traits of N rows.

    Attributes:
        names: P, in words.
        families: P: traits of one family say different things of the same, and are not combined.
        holds: [P, N], bool.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    holds: Tensor

    def rows(self, which: Sequence[int]) -> Tensor:
        """Return the rows [N], bool, that have all of these traits."""
        return self.holds[list(which)].all(dim=0)

    def name(self, which: Sequence[int]) -> str:
        """Return a conjunction in words."""
        return " and ".join(self.names[at] for at in which)


@dataclass(frozen=True)
class Cut:
    """How one measure is cut, decided once, so that every split is cut alike.

    Attributes:
        name: The trait in words.
        family: The measure.
        low: Values above it; None: no lower end.
        high: Values up to it; None: no upper end.
        value: The one value that counts; None: a range counts.
        missing: Whether missing values count, and nothing else.
    """

    name: str
    family: str
    low: float | None = None
    high: float | None = None
    value: Any = None
    missing: bool = False

    def holds(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return for which values [N] it holds."""
        absent = _absent(values)
        if self.missing:
            return absent
        if self.value is not None:
            return np.asarray(~absent & (values == self.value))
        kept = ~absent
        seen = np.where(absent, 0.0, values.astype(float)) if values.dtype == object else values
        if self.low is not None:
            kept &= seen > self.low
        if self.high is not None:
            kept &= seen <= self.high
        return np.asarray(kept)


def cuts(measures: Mapping[str, NDArray[Any]]) -> list[Cut]:
    """Return how the measures of some rows are cut, measure by measure.

    Args:
        measures: Values [N] by name: numbers with NaN, or names with None, where missing.
    """
    found: list[Cut] = []
    for family in measures:
        values = measures[family]
        absent = _absent(values)
        if absent.any():
            found.append(Cut(f"{family} missing", family, missing=True))
        found += _of_values(family, values[~absent])
    return found


def traits(
    measures: Mapping[str, NDArray[Any]],
    made: Sequence[Cut],
    labels: Mapping[str, tuple[Tensor, Sequence[str]]],
) -> Traits:
    """Return the traits of rows.

    Args:
        measures: As in `cuts`, of any split.
        made: What `cuts` returned.
        labels: Other families by name: codes [N] and a trait's name by code.
    """
    names, families, holds = [], [], []
    for family, (codes, told) in labels.items():
        for code, name in enumerate(told):
            names.append(name)
            families.append(family)
            holds.append(codes == code)
    values: dict[str, NDArray[Any]] = {}
    for cut in made:
        if cut.family not in values:
            values = {
                cut.family: measures[cut.family]
            }  # one at a time: columns are made when asked
        names.append(cut.name)
        families.append(cut.family)
        holds.append(torch.from_numpy(cut.holds(values[cut.family])))
    return Traits(tuple(names), tuple(families), torch.stack(holds))


def _of_values(family: str, values: NDArray[Any]) -> list[Cut]:
    if not len(values):
        return []
    different, counts = np.unique(
        values.astype(str) if values.dtype == object else values, return_counts=True
    )
    if values.dtype == object:
        common = counts >= LEAST_SHARE * len(values)
        ordered = sorted(zip(-counts[common], different[common].tolist(), strict=True))
        return [Cut(f"{family} = {name}", family, value=name) for _, name in ordered]
    if different[-1] - different[0] <= ROUNDING * abs(different[[0, -1]]).max():
        return []
    if len(different) <= FEW:
        said = _said(different.tolist())
        return [Cut(f"{family} = {said[v]}", family, value=float(v)) for v in different.tolist()]
    inner, lows, highs = (
        [float(edge) for edge in np.quantile(values.astype(float), where)]
        for where in (EDGES, TAILS, [1 - share for share in TAILS])
    )
    said = _said([*inner, *lows, *highs])

    def cut(low: float | None, high: float | None) -> Cut:
        below = "" if low is None else said[low]
        above = "" if high is None else said[high]
        return Cut(_range(family, below, above), family, low, high)

    told = [
        cut(low, high)
        for low, high in itertools.pairwise([None, *inner, None])
        if low is None or high is None or high - low > NEAR
    ]
    return [
        *(cut(None, low) for low in dict.fromkeys(lows)),
        *told,
        *(cut(high, None) for high in dict.fromkeys(highs)),
    ]


def _said(numbers: Sequence[float]) -> dict[float, str]:
    """Return numbers in words, in so many digits that no two of them are called alike: a slice is
    known by its name.
    """
    several = set(numbers)
    for digits in range(4, EXACT):
        said = {number: f"{number:.{digits}g}" for number in several}
        if len(set(said.values())) == len(several):
            return said
    return {number: f"{number:.{EXACT}g}" for number in several}


def _range(family: str, low: str, high: str) -> str:
    if not low:
        return f"{family} ≤ {high}"
    return f"{low} < {family} ≤ {high}" if high else f"{family} > {low}"


def _absent(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([value is None for value in values], dtype=bool)
    return np.asarray(np.isnan(values.astype(float)))
