"""Rows of val and test that train knows almost: the same photograph saved again, the same patient
measured twice.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Interval
from numpy.typing import NDArray

from stillhouse.validation.expectation import Expectation, Rows

IMAGE, SERIES = 0.99, 0.999  # of real sets, other rows of the same class stay below
AT_ONCE = 512  # rows compared with all of train
PROJECTED = 256  # directions; wider rows are compared in these first, and exactly only if near
SLACK = 1.5  # of the squared distance that counts as near, for what a projection may stretch
MAX_PAIRS = 2 * 10**9  # some ten seconds; of more, rows of val and test are compared evenly spaced

Vectors = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class NearDuplicates(Expectation):
    """Odd is a row of val or test that is nearly, but not exactly, a row of train; exact ones are
    leakage and are judged apart.

    The rule: of images, the correlation of their values is at least 0.99, which a new brightness,
    contrast or compression keeps, and a shift or crop does not. Of series, their likeness 2 u·v /
    (u·u + v·v) is at least 0.999, each channel scaled by train's mean and deviation. Of tables, all
    categories are equal, and all numbers once they are rounded to a fiftieth of train's deviation
    (from zero, or from half a step).

    Args:
        similarity: The correlation or likeness from which rows are near; None: as above.
        steps: Parts of a deviation to which a table's numbers are rounded.
    """

    def __init__(
        self,
        *,
        similarity: Annotated[float, Interval(gt=0, le=1)] | None = None,
        steps: Annotated[int, Gt(1)] = 50,
    ) -> None:
        self.similarity, self.steps = similarity, steps

    def judge(self, rows: Rows) -> NDArray[Any]:
        said = np.full(len(rows), "", dtype=object)
        if not rows.train.any() or rows.train.all():
            return said
        twins = self._rounded(rows) if rows.schema.tabular else self._alike(rows)
        for at, (twin, how) in twins.items():
            if rows.equal[at] != rows.equal[twin]:
                said[at] = f"like train row {rows.numbers[twin]} ({how})"
        return said

    def _rounded(self, rows: Rows) -> dict[int, tuple[int, str]]:
        """Return row → the train row that it equals once rounded."""
        train = rows.train
        category = np.array([feature.kind == "category" for feature in rows.schema.features])
        with np.errstate(invalid="ignore"):
            deviation = np.nan_to_num(_deviation(rows.inputs[train]))
        step = np.where(category | (deviation == 0), 1.0, deviation / self.steps)
        found: dict[int, tuple[int, str]] = {}
        for shift in (0.0, 0.5):
            cells = np.nan_to_num(
                np.floor(rows.inputs / step + np.where(category, 0, shift)), nan=1e18
            )
            names = [row.tobytes() for row in cells]
            known = {names[at]: int(at) for at in np.flatnonzero(train)[::-1]}
            for at in np.flatnonzero(~train):
                twin = known.get(names[at])
                if twin is not None and rows.equal[twin] != rows.equal[at]:
                    found.setdefault(int(at), (twin, f"to 1/{self.steps} of a deviation"))
        return found

    def _alike(self, rows: Rows) -> dict[int, tuple[int, str]]:
        """Return row → its nearest train row, where that is near."""
        image = rows.schema.kind == "image"
        least = self.similarity or (IMAGE if image else SERIES)
        vectors = _centred if image else _scaled(rows)
        narrow, exact = _projected(rows.inputs, vectors)
        near = least if exact else 1 - SLACK * (1 - least)
        train, others = np.flatnonzero(rows.train), np.flatnonzero(~rows.train)
        others = others[:: math.ceil(len(others) * len(train) / MAX_PAIRS)]
        known, found = narrow[train], {}
        lengths = (known**2).sum(axis=1)
        for start in range(0, len(others), AT_ONCE):
            part = others[start : start + AT_ONCE]
            own = (narrow[part] ** 2).sum(axis=1)
            likeness = 2 * narrow[part] @ known.T / np.maximum(own[:, None] + lengths, 1e-12)
            best = likeness.argmax(axis=1)
            for at in np.flatnonzero(likeness[np.arange(len(part)), best] >= near):
                row, twin = part[at], best[at]
                pair = vectors(rows.inputs[[row, train[twin]]])
                found[int(row)] = (int(train[twin]), _likeness(*pair))
        return {row: (twin, f"{how:.4f}") for row, (twin, how) in found.items() if how >= least}


def _deviation(values: NDArray[np.float32]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values, 0.0)
    mean = centred.sum(axis=0, dtype=np.float64) / count
    spread: NDArray[np.float64] = np.sqrt(
        (np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count
    )
    return spread


def _centred(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images without their mean, of length one: their products are correlations."""
    flat = _known(inputs.reshape(len(inputs), -1))
    flat = flat - flat.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: NDArray[np.float32] = flat / np.maximum(lengths, np.float32(1e-9))
    return unit


def _known(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with 0 for what is missing or infinite; that is judged elsewhere."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _scaled(rows: Rows) -> Vectors:
    """Return a function that scales each channel of series by train's mean and deviation."""
    known = _known(rows.inputs[rows.train])
    mean, deviation = known.mean(axis=(0, 1)), known.std(axis=(0, 1))
    divisor = np.where(deviation > 0, deviation, 1)

    def vectors(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = ((_known(inputs) - mean) / divisor).reshape(len(inputs), -1)
        return scaled

    return vectors


def _projected(inputs: NDArray[np.float32], vectors: Vectors) -> tuple[NDArray[np.float32], bool]:
    """Return rows as vectors, wide ones in 256 random directions, which keep distances within some
    twenty per cent; and whether they are exact.
    """
    width = math.prod(inputs.shape[1:])
    parts = (vectors(inputs[at : at + AT_ONCE]) for at in range(0, len(inputs), AT_ONCE))
    if width <= PROJECTED:
        return np.concatenate(list(parts)), True
    directions = np.random.default_rng(0).standard_normal((width, PROJECTED), dtype=np.float32)
    directions /= np.float32(math.sqrt(PROJECTED))
    return np.concatenate([part @ directions for part in parts]), False


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    length = float(one @ one + other @ other)
    return 2 * float(one @ other) / length if length else 0.0
