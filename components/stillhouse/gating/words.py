"""Findings in words: no sentence says more than its interval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse.gating.verdict import Decision, Finding


def number(value: float, *, signed: bool = False) -> str:
    """Return a number to four digits, with a true minus."""
    return f"{value:{'+' if signed else ''}.4g}".replace("-", "−")


def error_rate(alpha: float) -> str:
    """Return what the verdict promises."""
    share = number(100 * alpha)
    return (
        "The probability that any rule that decides passes although the population misses "
        f"its bound is at most {share} % (Holm over the rules that apply; "
        "exact tests for shares of rows and for paired rows, resampled rows for other "
        f"numbers). A rule that is only watched has {share} % for itself alone. "
        "A rule fails where its interval, at the level judged, lies wholly beyond the bound."
    )


def why(decision: "Decision", findings: Sequence["Finding"]) -> str:
    """Return the decision in one sentence; the first rule that made it is named."""
    alarms = [f for f in findings if f.gates and f.guards and f.verdict == "undecided"]
    gating = [f for f in findings if f.gates and not f.guards and f.verdict != "not_applicable"]
    passed = sum(f.verdict == "pass" for f in gating)
    if not gating:
        return (
            "Held: no rule that decides applies yet, so nothing was shown. Add one without a "
            "champion, such as {metric: test/accuracy, at_least: 0.9}."
        )
    if decision == "promote":
        return (
            f"All {passed} rules that decide were passed."
            if passed > 1
            else "The rule that decides was passed."
        )
    if decision == "hold" and alarms and "undecided" not in {f.verdict for f in gating}:
        return f"Held by an alarm: {alarms[0].name}. {alarms[0].sentence}"
    kind = "fail" if decision == "reject" else "undecided"
    stopping = [f for f in gating if f.verdict == kind]
    word = "failed" if kind == "fail" else "undecided"
    return (
        f"{passed} of {len(gating)} rules that decide were passed, {len(stopping)} {word}: "
        f"{stopping[0].name}. {stopping[0].sentence}"
    )


def sentence(of: "Finding", reason: str) -> str:
    """Return one rule's answer in words."""
    what = (
        f"{of.metric} of the student"
        if of.against is None
        else f"{of.metric} of the student minus that of {_whom(of.against)}"
    )
    if of.verdict == "not_applicable":
        return f"Not asked: {reason}"
    if of.observed is None or of.bound is None:
        return f"Undecided: {reason}"
    limit = (
        f"{'at least' if of.direction == '>=' else 'at most'} {number(of.bound)}{_unit(of.unit)}"
    )
    seen = number(of.observed, signed=of.against is not None) + (
        " (exact)"
        if of.interval is None
        else f" [{number(of.interval[0])}, {number(of.interval[1])}]"
    )
    if of.about:
        seen = f"{seen} in {of.about}"
    if of.guards:
        return _alarm(of, limit, seen)
    lost = (
        ""
        if of.discordant is None
        else f" ({of.discordant[0]} rows lost, {of.discordant[1]} won of {of.rows_used})"
    )
    if of.verdict == "pass":
        return f"{what} is {limit}: {seen}{lost}."
    if of.verdict == "fail":
        return f"{what} is not {limit}: {seen}{lost}."
    needed = (
        f"about {of.rows_needed:,} rows like these would decide"
        if of.rows_needed
        else "more rows like these would not decide"
    )
    return f"{of.rows_used} rows cannot tell whether {what} is {limit}: {seen}{lost}; {needed}."


def _alarm(of: "Finding", limit: str, seen: str) -> str:
    if of.verdict == "pass":
        return f"No alarm: {of.metric} is not shown to miss {limit}; worst {seen}."
    return f"Alarm: {of.metric} of the student is not {limit}: {seen}."


def _whom(against: str) -> str:
    return f"arm {against}" if against in ("none", "hard") else f"the {against}"


def _unit(unit: str) -> str:
    return "" if unit in ("", "share") else f" {unit}"
