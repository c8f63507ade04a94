"""What the page says and draws of trust, slices, and the gate tried on itself."""

from typing import Any

from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.plots import Axis, axis, polyline
from stillhouse.receipt.reading import reading
from stillhouse.receipt.ruled import Ruled, ruled

LABELS = {
    "nll": ("NLL, nats", "negative log-likelihood"),
    "brier": ("Brier score", "squared distance to the truth"),
    "ece": ("ECE", "gap of confidence and accuracy, 15 equal widths"),
    "adaptive_ece": ("ECE, equal rows", "the same over 15 bins of equally many rows"),
    "aurc": ("AURC", "mean risk over every coverage"),
    "labels_ece": ("ECE, all labels", "gap of probability and share, 15 equal widths"),
    "labels_worst_ece": ("ECE, worst label", "the largest of the labels’ own"),
}
KINDS = {"noise": "noise", "mixed": "rows mixed of others"}
AT = 0.8  # the coverage that the answer speaks of


def answer(receipt: Json) -> str:
    """Return what can be relied on, in a few sentences."""
    found = receipt["evidence"].get("trust")
    if not found:
        return "Not measured: no class is decided for, so that there is no confidence in one."
    same = found["agreement"]["all"]
    second = (
        f"It says what its teacher says in {numbers.percent(same[1])}{NBSP}% of rows "
        f"{numbers.spread(same)}."
    )
    parts = [*_covered(found["coverage"]), *_calibrated(found["measures"]), second]
    return " ".join([*parts, *_unlike(found), _slices(found)])


def _calibrated(measures: list[Json]) -> list[str]:
    """Return how far off the probabilities of single labels are, and which label's are most."""
    told = {one["name"]: one for one in measures}
    if "labels_ece" not in told:
        return []
    own, worst = told["labels_ece"], told.get("labels_worst_ece")
    most = (
        f"; of \u2068{numbers.plain(worst['about'], 20)}\u2069, the worst label, by "
        f"{numbers.fixed(worst['student'][1], 3)}"
        if worst
        else ""
    )
    low, gap, high = (numbers.fixed(value, 3) for value in own["student"])
    return [
        f"Its probabilities of single labels are off by {gap} on average [{low}, {high}] "
        f"(ECE; its teacher’s by {numbers.fixed(own['teacher'], 3)}){most}."
    ]


def _covered(coverage: list[Json]) -> list[str]:
    if not coverage:
        return []
    whole = next(p for p in coverage if p["coverage"] == 1.0)
    part = next(p for p in coverage if p["coverage"] == AT)
    return [
        f"On the {numbers.percent(AT, 0)}{NBSP}% of rows that it is surest of, "
        f"{_risk(part)}{NBSP}% of its answers are wrong; on all, {_risk(whole)}{NBSP}%."
    ]


def _risk(point: Json) -> str:
    return numbers.percent(point["wrong"] / point["rows"])


def _unlike(found: Json) -> list[str]:
    if "noise" not in found["unlike"]:
        return []
    low, area, high = found["unlike"]["noise"]
    told = f"{numbers.fixed(area, 3)} [{numbers.fixed(low, 3)}, {numbers.fixed(high, 3)}]"
    if low > 0.5:
        return [f"It is less sure of noise than of test rows (AUROC {told})."]
    if high < 0.5:
        return [f"It is surer of noise than of test rows (AUROC {told})."]
    return [f"It is as sure of noise as of test rows (AUROC {told})."]


def _slices(found: Json) -> str:
    if not found["slices"]:
        return "Slices were not searched: there are too few validation rows."
    worst = found["slices"][0]
    name = f"\u2068{numbers.plain(worst['name'], 80)}\u2069"
    return (
        f"Of {numbers.count(len(found['slices']), 'doubtful slice')} it is weakest where {name}: "
        f"{worst['right']} of {worst['rows']} right {numbers.spread(worst['share'])}."
    )


def figures(receipt: Json) -> dict[str, Any]:
    """Return what the section draws: the table of measures, the curve of risk, the slices, and what
    the gate did to itself.
    """
    found = receipt["evidence"].get("trust")
    drawn: dict[str, Any] = {"measures": [], "risk": None, "slices": None, "unlike": []}
    if found:
        drawn = {
            "measures": [
                {**one, "label": LABELS[one["name"]][0], "note": _note(one)}
                for one in found["measures"]
            ],
            "risk": _curve(found["coverage"]) if found["coverage"] else None,
            "slices": _table(found["slices"], receipt["student"][reading(receipt).key][1]),
            "unlike": [(KINDS.get(kind, kind), iv) for kind, iv in found["unlike"].items()],
        }
    return {**drawn, "audit": audited(receipt)}


def _note(measure: Json) -> str:
    about = measure.get("about")
    return f"that of {numbers.plain(about, 20)}" if about else LABELS[measure["name"]][1]


def _curve(coverage: list[Json]) -> dict[str, Any]:
    xs = [100 * p["coverage"] for p in coverage]
    ys = [100 * p["wrong"] / p["rows"] for p in coverage]
    across = Axis(50, 100, (50, 60, 70, 80, 90, 100))
    up = axis([0.0, *ys, 1.0], floor=0, wanted=4)
    return {
        "across": across,
        "up": up,
        "points": polyline(xs, ys, across, up),
        "dots": list(zip(xs, ys, strict=True)),
    }


def _table(slices: list[Json], whole: float) -> dict[str, Any] | None:
    if not slices:
        return None
    rows = [{**one, "iv": [100 * v for v in one["share"]]} for one in slices]
    spread = [v for row in rows for v in row["iv"]]
    return {
        "rows": rows,
        "axis": axis([*spread, 100 * whole], floor=0, ceiling=100),
        "whole": 100 * whole,
    }


def audited(receipt: Json) -> list[dict[str, Any]]:
    """Return what each rule that decides did to students that are known."""
    names: dict[str, Ruled] = {rule.key: rule for rule in ruled(receipt)}
    told = []
    for rule in receipt["rules"]:
        tried = rule.get("audit")
        if tried:
            who = "two equal models" if tried["kind"] == "equal" else "exactly at the bound"
            told.append(
                {
                    "label": names[rule["name"]].label,
                    "who": who,
                    "passes": 100 * tried["passes"],
                    "fails": 100 * tried["fails"],
                    "found": 100 * tried["found"],
                    "planted": 100 * tried["planted"],
                }
            )
    return told
