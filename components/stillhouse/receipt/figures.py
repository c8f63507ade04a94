"""What each figure of the page needs, made from the receipt alone; None where there is nothing to
draw, so that no axis is ever empty.
"""

from dataclasses import replace
from typing import Any

from stillhouse.receipt import numbers
from stillhouse.receipt.attacked import attack, beside, corruption
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.plots import SIDE, Axis, axis, polyline, staircase
from stillhouse.receipt.reading import reading

Figure = dict[str, Any]
ARMS = {
    "student": ("Student", "the teacher’s answers", "s"),
    "hard": ("Control hard", "its decisions, no confidences", "c"),
    "none": ("Control none", "the labels only", "c"),
    "plain": ("Plain student", "kd, no attacks in its training", "c"),
}
NOTES = {
    "over none": ("what the teacher gave in all", "s"),
    "over hard": ("what its confidences gave", "s"),
    "hard over none": ("what its decisions gave", "c"),
    "over the teacher": ("what is still missing", "s"),
}
WORST = 10  # classes in the table when there are more than twelve
TABLE = 12
MULTIPLES = 6
LABELS = 0.14  # share of a narrow figure that the labels of its upright axis take


def _per_cent(interval: list[float]) -> list[float]:
    return [100 * v for v in interval]


def arms(receipt: Json) -> Figure:
    """Return teacher and arms on one scale."""
    teacher, read = receipt["teacher"], reading(receipt)
    rows = [
        {
            "label": "Teacher",
            "note": numbers.plain(teacher["name"], 24),
            "cls": "t",
            "seeds": [],
            "iv": [read.read(v) for v in teacher[read.key]],
            "parameters": teacher["parameters"],
        }
    ]
    order = {"student": 0, "hard": 1, "none": 2}
    for arm in sorted(receipt["arms"], key=lambda a: (order.get(a["name"], 3), a["name"])):
        label, note, cls = ARMS.get(arm["name"], (numbers.plain(arm["name"], 20), "", "c"))
        note = receipt["evidence"].get("hard", note) if arm["name"] == "hard" else note
        rows.append(
            {
                "label": label,
                "note": note,
                "cls": cls,
                "seeds": [read.read(s) for s in arm["seeds"]],
                "iv": [read.read(v) for v in arm[read.key]],
                "parameters": receipt["student"]["parameters"],
            }
        )
    return {
        "rows": rows,
        "axis": axis(
            [v for row in rows for v in row["iv"] + row["seeds"]], floor=0, ceiling=read.ceiling
        ),
    }


def gains(receipt: Json) -> Figure | None:
    """Return the differences between arms, around zero."""
    drawn = [
        {**gain, "name": f"over {gain['over']}"} for gain in receipt["teacher_gain"]
    ] + receipt["evidence"]["differences"]
    if not drawn:
        return None
    read = reading(receipt).read
    rows = [
        {
            "label": d["name"],
            "note": NOTES.get(d["name"], ("", "c"))[0],
            "cls": NOTES.get(d["name"], ("", "c"))[1],
            "iv": [read(d["interval"][0]), read(d["estimate"]), read(d["interval"][-1])],
        }
        for d in drawn
    ]
    return {"rows": rows, "axis": axis([0.0, *(v for row in rows for v in row["iv"])], wanted=7)}


def learning(receipt: Json) -> Figure | None:
    """Return validation accuracy by epoch, a curve an arm."""
    curves, read = receipt["evidence"]["curves"], reading(receipt)
    if not curves:
        return None
    key, scale = (
        next(name for curve in curves.values() for name in curve if name.startswith("val_")),
        100.0 if read.ceiling else 1.0,
    )
    last = float(max(max(c["epochs"]) for c in curves.values()))
    across = axis([1.0, last], floor=1, ceiling=last)
    up = axis(
        [scale * v for c in curves.values() for v in c[key]],
        floor=0 if read.ceiling else None,
        ceiling=scale,
        wanted=4,
    )
    lines = [
        {
            "name": ARMS.get(arm, (numbers.plain(arm, 20),))[0],
            "cls": "c-s" if arm == "student" else "c-p",
            "own": arm == "student",
            "points": polyline(c["epochs"], [scale * v for v in c[key]], across, up),
            "last": scale * c[key][-1],
        }
        for arm, c in sorted(curves.items(), key=lambda entry: entry[0] == "student")
    ]
    return {"across": across, "up": up, "lines": lines}


def classes(receipt: Json) -> Figure | None:
    """Return the classes, or the ten worst of more than twelve, on one scale."""
    found = [c for c in receipt["evidence"]["per_class"] if c["student"]]
    if not found:
        return None
    if len(found) > TABLE:
        found = sorted(found, key=lambda c: (c["student"][1], c["name"]))[:WORST]
    rows = []
    for c in found:
        marks = [
            (cls, 100 * c[key])
            for cls, key in (("c", "none"), ("t", "teacher"))
            if c[key] is not None
        ]
        rows.append({**c, "iv": _per_cent(c["student"]), "marks": marks})
    spread = [v for row in rows for v in row["iv"]] + [v for row in rows for _, v in row["marks"]]
    return {
        "rows": rows,
        "axis": axis(spread, floor=0, ceiling=100),
        "all": len(receipt["evidence"]["per_class"]),
        "flips": found[0]["negative"] is not None,
    }


def matrix(receipt: Json) -> Figure | None:
    """Return the confusion matrix with the shade of each cell; None beyond twelve classes."""
    table = receipt["evidence"]["confusion"]
    if table is None:
        return None
    top = max((n for i, row in enumerate(table) for j, n in enumerate(row) if i != j), default=0)

    def shade(i: int, j: int, n: int) -> str:
        return "d" if i == j else "" if not n else "e2" if n >= max(2, 0.8 * top) else "e1"

    return {
        "rows": [
            [{"n": n, "cls": shade(i, j, n)} for j, n in enumerate(row)]
            for i, row in enumerate(table)
        ]
    }


def reliability(receipt: Json) -> Figure | None:
    """Return the bins of the reliability diagram, per cent."""
    bins = receipt["evidence"]["reliability"].get("bins")
    if not bins:
        return None
    rows = [
        {"x": 100 * b["confidence"], "iv": _per_cent(b["accuracy"]), "n": b["rows"]} for b in bins
    ]
    across = axis([*(100 * b["low"] for b in bins), 100.0], floor=0, ceiling=100)
    return {"bins": rows, "across": across, "up": Axis(0, 100, (0, 50, 100))}


def attacks(receipt: Json) -> Figure | None:
    """Return accuracy under each attack on one scale."""
    if not receipt["robustness"]:
        return None
    rows: list[Figure] = [
        {
            "label": attack(receipt, label),
            "note": numbers.plain(label, 48),
            "iv": _per_cent(interval),
        }
        for label, interval in receipt["robustness"].items()
    ]
    clean = 100 * receipt["student"][reading(receipt).key][1]
    return {
        "rows": rows,
        "axis": axis(
            [clean, *(v for row in rows for v in row["iv"])], floor=0, ceiling=100, wanted=4
        ),
        "clean": clean,
    }


def epsilon(receipt: Json) -> Figure | None:
    """Return accuracy against epsilon for the first attack that has such a curve."""
    for curve in _curves(receipt["evidence"]["robustness"]["curves"]):
        xs, ys = (
            [float(e) for e in curve["epsilon"]],
            [100 * (a[1] if isinstance(a, list) else a) for a in curve["accuracy"]],
        )
        if len(xs) > 1 and len(xs) == len(ys):
            across, up = axis(xs, floor=0), Axis(0, 100, (0, 25, 50, 75, 100))
            label = attack(receipt, str(curve.get("label", "")))
            return {
                "label": label,
                "across": across,
                "up": up,
                "points": polyline(xs, ys, across, up),
                "dots": list(zip(xs, ys, strict=True)),
            }
    return None


def _curves(stored: Any) -> list[Json]:
    found = (
        [{"label": label, **curve} for label, curve in sorted(stored.items())]
        if isinstance(stored, dict)
        else list(stored)
    )
    return [
        curve
        for curve in found
        if isinstance(curve, dict) and curve.get("epsilon") and curve.get("accuracy")
    ]


def corruptions(receipt: Json) -> Figure | None:
    """Return small multiples of accuracy by severity, the six that cost most; the rest is a
    table.
    """
    if not receipt["corruption"]:
        return None
    clean = 100 * receipt["student"][reading(receipt).key][1]
    found = []
    for name, by in receipt["corruption"].items():
        ys: list[float]
        steps = sorted(by.items(), key=lambda entry: float(entry[0]))
        xs, ys = [0.0, *(float(s) for s, _ in steps)], [clean, *(100 * i[1] for _, i in steps)]
        found.append(
            {
                "name": corruption(name),
                "xs": xs,
                "ys": ys,
                "last": _per_cent(steps[-1][1]),
                "severity": steps[-1][0],
                "mean": sum(ys[1:]) / len(steps),
            }
        )
    found.sort(key=lambda c: (c["mean"], c["name"]))
    up = axis([v for c in found for v in c["ys"]], floor=0, ceiling=100, wanted=3)
    last = max(x for c in found for x in c["xs"])
    across = Axis(0, last, (0, last))
    drawn = [{**c, "points": polyline(c["xs"], c["ys"], across, up)} for c in found]
    return {"drawn": drawn[:MULTIPLES], "rest": drawn[MULTIPLES:], "across": across, "up": up}


def latency(receipt: Json) -> Figure | None:
    """Return the histogram of latency of the ONNX file."""
    measured = receipt["evidence"]["latency"].get("fp32") or {}
    histogram = measured.get("histogram")
    if not histogram or not sum(histogram["counts"]):
        return None
    edges, counts = histogram["edges_ms"], histogram["counts"]
    across = axis([*edges, measured["p50_ms"], measured["p95_ms"]], floor=0)
    top = max(counts)
    bars = [
        {
            "x": across.x(low),
            "width": f"{100 * (across.share(high) - across.share(low)):.3f}%",
            "share": n / top,
        }
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
    ]
    return {
        "bars": bars,
        "across": across,
        "p50": measured["p50_ms"],
        "p95": measured["p95_ms"],
        "calls": measured.get("calls", sum(counts)),
    }


def history(receipt: Json) -> Figure | None:
    """Return the search: every trial's first objective, and the best so far."""
    study = receipt["evidence"]["trials"].get("student")
    if not study or study["best"] is None:
        return None
    objective = study["objectives"][0]
    shares = ("accuracy", "exact_match")
    scale = 100.0 if objective.endswith(shares) else 1.0
    seen = [
        (t["number"], scale * t["values"][objective])
        for t in study["trials"]
        if t["state"] != "pruned" and t["values"] and t["values"].get(objective) is not None
    ]
    if len(seen) < 2:
        return None
    first, last = float(min(n for n, _ in seen)), float(max(n for n, _ in seen))
    # Room on the left, so that the first trial is not drawn under the labels of the other axis.
    numbers = axis([first, last], floor=first, ceiling=last)
    whole = tuple(tick for tick in numbers.ticks if tick.is_integer())
    across = replace(numbers, low=first - LABELS * (last - first), ticks=whole)
    up = axis([v for _, v in seen], ceiling=100 if scale == 100 else None, wanted=4)
    at, best = staircase([v for _, v in seen])
    numbered = [float(seen[int(i) - 1][0]) for i in at]
    chosen = next(((n, v) for n, v in seen if n == study["best"]), None)
    left_out = [t["number"] for t in study["trials"] if t["state"] == "pruned" or not t["values"]]
    return {
        "objective": objective,
        "percent": scale == 100,
        "across": across,
        "up": up,
        "dots": seen,
        "points": polyline(numbered, best, across, up),
        "chosen": chosen,
        "without": len(left_out),
    }


def chosen(receipt: Json) -> list[tuple[str, str]]:
    """Return the settings that the search chose, by path under `distill`."""
    study = receipt["evidence"]["trials"].get("student") or {"best": None, "trials": []}
    params = (
        next((t["params"] for t in study["trials"] if t["number"] == study["best"]), None) or {}
    )
    return [
        (
            numbers.plain(path, 40),
            f"{value:.4g}" if isinstance(value, float) else numbers.plain(value, 40),
        )
        for path, value in sorted(params.items())
    ]


def spending(receipt: Json) -> list[Json]:
    """Return seconds, price and bar of every step."""
    spent = receipt["cost"]
    top = max(spent["by_step"].values(), default=0) or 1
    rate = spent["usd"] / spent["seconds"] if spent["seconds"] else 0.0
    return [
        {"name": name, "seconds": s, "usd": s * rate, "width": f"{100 * s / top:.1f}"}
        for name, s in spent["by_step"].items()
    ]


def lineage(receipt: Json) -> list[tuple[str, str]]:
    """Return where the receipt comes from, in words."""
    found, versions = receipt["lineage"], receipt["lineage"]["versions"]
    trial = (
        "nothing was searched"
        if found["trial"] is None
        else f"trial {numbers.plain(found['trial'], 40)} of the student’s study"
    )
    pairs = [
        ("Code", f"git {found['git']}" if found["git"] != "no git" else "no git"),
        ("Steps", _hash(found["code"])),
        ("dvc.lock", _hash(found["dvc_lock"])),
        ("Data", f"sha256 {receipt['data']['fingerprint']}"),
        ("Teacher", f"sha256 {found['teacher']}"),
        ("Knowledge", f"sha256 {found['knowledge']}"),
        ("Student", f"sha256 {receipt['student']['fingerprint']}"),
        ("Trial", trial),
        (
            "Versions",
            " · ".join(
                f"{name} {value}" for name, value in versions.items() if value != "not installed"
            ),
        ),
    ]
    return [(label, numbers.plain(text, 900)) for label, text in pairs]


def _hash(text: str) -> str:
    return text if text == "none" else f"sha256 {text}"


def figures(receipt: Json) -> dict[str, Any]:
    """Return every figure by name."""
    made = (
        arms,
        gains,
        learning,
        classes,
        matrix,
        reliability,
        attacks,
        beside,
        epsilon,
        corruptions,
        latency,
        history,
        chosen,
        spending,
        lineage,
    )
    return {"side": SIDE, **{one.__name__: one(receipt) for one in made}}
