"""Whether today's rows are still like those that the champion learned from: feature by feature,
corrected for their number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from stillhouse.data.sketch import Sketch

ALPHA = 0.05  # that any feature is called drifted though none has, over all of them together
LARGE = 0.1  # population stability index: below it a difference is real at most, not large
LEAST = 5.0  # expected rows a bin; below, chi-square's tail is not to be trusted
HALF = 0.5  # a row added to each bin, so that an empty one does not make the index infinite
TARGET = "(target)"


@dataclass(frozen=True)
class Moved:
    """One feature, before and now.

    Attributes:
        name: Of the feature; `(target)` for the classes, `(label …)` for one of several labels.
        psi: Population stability index, Σ (now − before) ln(now / before) over the bins; 0.1 is a
            moderate change, 0.25 a large one.
        p: Of a difference as large by chance, Holm-corrected over all features.
        drifted: Whether it is both: p ≤ 0.05 and psi ≥ 0.1.
        where: The bin that changed most, with its share before and now.
    """

    name: str
    psi: float
    p: float
    drifted: bool
    where: str


@dataclass(frozen=True)
class Drift:
    """Today's train rows against the champion's.

    Attributes:
        against: The champion, in words.
        rows: Rows before and now.
        features: All that both have, those that moved most first.
        gone: Features that only the champion had.
        new: Features that only today's rows have.
    """

    against: str
    rows: tuple[int, int]
    features: tuple[Moved, ...]
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[Moved, ...]:
        """The features that drifted."""
        return tuple(moved for moved in self.features if moved.drifted)

    @property
    def share(self) -> float:
        """Share of the features that drifted, are gone or are new."""
        changed = len(self.drifted) + len(self.gone) + len(self.new)
        return changed / max(len(self.features) + len(self.gone) + len(self.new), 1)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        return {**asdict(self), "share": self.share, "alpha": ALPHA, "psi": LARGE}


def drift(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    values: Mapping[str, NDArray[Any]],
    *,
    targets: NDArray[Any],
    against: str,
) -> Drift:
    """Compare today's rows with the statistics that the champion left.

    Both are samples, and the rows that the champion learned from are often among today's: then the
    test is cautious, never eager.

    Args:
        before: `statistics` of the champion's train rows.
        now: `statistics` of today's.
        values: `measures` of today's train rows.
        targets: Today's known targets of train; of classes all that `now` counts are compared.
        against: The champion, in words.
    """
    sketches = [Sketch.from_dict(entry) for entry in before["sketches"]]
    pairs = [
        (found.name, found.labels, found.counts, found.count(values[found.name]))
        for found in sketches
        if found.name in values
    ]
    pairs += _targets(before, now, targets)
    corrected = holm([difference(old, new) for _, _, old, new in pairs])
    features = [
        _moved(name, labels, (old, new), p)
        for (name, labels, old, new), p in zip(pairs, corrected, strict=True)
    ]
    had = {found.name for found in sketches}
    return Drift(
        against,
        (int(before["rows"]), int(now["rows"])),
        tuple(sorted(features, key=lambda moved: (not moved.drifted, -moved.psi, moved.name))),
        tuple(sorted(had - set(values))),
        tuple(sorted(set(values) - had)),
    )


Pair = tuple[str, tuple[str, ...], tuple[int, ...], tuple[int, ...]]


def _targets(
    before: Mapping[str, Any], now: Mapping[str, Any], targets: NDArray[Any]
) -> list[Pair]:
    """Return what is compared of the targets: one thing, or of several labels a row each of those
    that both have.
    """
    if "label_rows" in before:
        had, has = before["label_rows"], now.get("label_rows", {})
        return [
            (f"(label {name})", ("has it", "lacks it"), tuple(had[name]), tuple(has[name]))
            for name in had
            if name in has
        ]
    if "target_sketch" in before:
        found = Sketch.from_dict(before["target_sketch"])
        return [(TARGET, found.labels, found.counts, found.count(targets))]
    had, has = before["class_rows"], now.get("class_rows", {})
    names = tuple(sorted(set(had) | set(has)))
    return [
        (
            TARGET,
            names,
            tuple(had.get(name, 0) for name in names),
            tuple(has.get(name, 0) for name in names),
        )
    ]


def _moved(
    name: str, labels: Sequence[str], counts: tuple[Sequence[int], Sequence[int]], p: float
) -> Moved:
    old, new = (_shares(one) for one in counts)
    index = stability(*counts)
    at = max(range(len(labels)), key=lambda i: abs(new[i] - old[i]))
    where = f"{labels[at]}: {100 * old[at]:.0f} % before, {100 * new[at]:.0f} % now"
    return Moved(name, index, p, p <= ALPHA and index >= LARGE, where)


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / max(sum(counts), 1) for count in counts]


def stability(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two lists of counts in the same bins.

    Example:
        >>> stability([10, 10], [100, 100])
        0.0
    """
    kept = [at for at in range(len(before)) if before[at] or now[at]]
    old = _shares([before[at] + HALF for at in kept])  # type: ignore[misc]
    new = _shares([now[at] + HALF for at in kept])  # type: ignore[misc]
    return max(sum((n - o) * math.log(n / o) for o, n in zip(old, new, strict=True)), 0.0)


def difference(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the p-value of Pearson's chi-square test that two lists of counts are of one
    distribution; bins with few expected rows are joined with their neighbours.

    Returns:
        1 where nothing is left to compare.
    """
    rows = sum(before), sum(now)
    if not all(rows):
        return 1.0
    table = _joined(list(zip(before, now, strict=True)), rows)
    if len(table) < 2:
        return 1.0
    total = sum(rows)
    statistic = sum(
        (counts[at] - sum(counts) * rows[at] / total) ** 2 / (sum(counts) * rows[at] / total)
        for counts in table
        for at in (0, 1)
    )
    from scipy.stats import chi2

    return float(chi2.sf(statistic, len(table) - 1))


def _joined(table: list[tuple[int, int]], rows: tuple[int, int]) -> list[tuple[int, int]]:
    """Return bins of at least five expected rows on both sides."""
    smaller = min(rows) / sum(rows)
    joined: list[tuple[int, int]] = []
    held = (0, 0)
    for counts in table:
        held = (held[0] + counts[0], held[1] + counts[1])
        if sum(held) * smaller >= LEAST:
            joined.append(held)
            held = (0, 0)
    if sum(held) and joined:
        last = joined.pop()
        joined.append((last[0] + held[0], last[1] + held[1]))
    return joined


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected so that those at or below α hold together with error rate α.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected
