"""Plots for MLflow's pages as SVG: calibration, risk by coverage, accuracy by class. Text from data
is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDE, HIGH, EDGE = 420, 300, 46  # px; EDGE holds the axis and its numbers
INK, MARK, FAINT = "#1d2b38", "#0b6e75", "#b8c2c9"
MOST = 40  # classes


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """Return accuracy against confidence, a dot a bin, its area by the rows in it."""
    rows = max(one["rows"] for one in bins)
    dots = [
        _dot(one["confidence"], one["accuracy"], 2 + 6 * (one["rows"] / rows) ** 0.5)
        for one in bins
    ]
    diagonal = _line([(0, 0), (1, 1)], FAINT)
    return _frame("Calibration", "confidence", "accuracy", [diagonal, *dots])


def risk(points: Sequence[Mapping[str, Any]]) -> str:
    """Return the risk that is left when only the surest rows are answered."""
    top = max(max(one["risk"] for one in points), 1e-9)
    line = _line([(one["coverage"], one["risk"] / top) for one in points], MARK)
    dots = [_dot(one["coverage"], one["risk"] / top, 3) for one in points]
    return _frame("Risk by coverage", "share answered", f"risk, up to {top:.3g}", [line, *dots])


def classes(table: Sequence[Mapping[str, Any]]) -> str:
    """Return each class's accuracy with its exact interval, the weakest first; at most forty."""
    told = sorted((one for one in table if one["rows"]), key=lambda one: one["accuracy"])[:MOST]
    step = 20
    lines = []
    for at, one in enumerate(told):
        y = EDGE + at * step
        low, middle, high = (140 + 260 * one[key] for key in ("low", "accuracy", "high"))
        name = escape(str(one["class"])[:18])
        lines += [
            f'<text x="132" y="{y + 4}" text-anchor="end">{name}</text>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{MARK}"/>',
            f'<circle cx="{middle:.1f}" cy="{y}" r="3.5" fill="{MARK}"/>',
        ]
    return _svg(WIDE, EDGE + step * len(told) + 16, ["Accuracy by class", *lines])


def _frame(title: str, across: str, up: str, marks: Sequence[str]) -> str:
    axes = [
        _line([(0, 1), (0, 0), (1, 0)], INK),
        f'<text x="{WIDE / 2}" y="{HIGH - 10}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="8" y="{EDGE - 12}">{escape(up)}</text>',
        *(f'<text x="{_x(v):.0f}" y="{HIGH - 28}" text-anchor="middle">{v}</text>' for v in (0, 1)),
    ]
    return _svg(WIDE, HIGH, [title, *axes, *marks])


def _svg(wide: float, high: float, parts: Sequence[str]) -> str:
    title, *marks = parts
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}"'
    style = f'font-family="sans-serif" font-size="12" fill="{INK}"'
    name = f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>'
    return f"{head} {style}>{name}{''.join(marks)}</svg>\n"


def _x(share: float) -> float:
    return EDGE + share * (WIDE - 2 * EDGE)


def _y(share: float) -> float:
    return HIGH - EDGE - share * (HIGH - 2 * EDGE)


def _dot(x: float, y: float, size: float) -> str:
    return f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{size:.1f}" fill="{MARK}"/>'


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    told = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{told}" fill="none" stroke="{colour}"/>'
