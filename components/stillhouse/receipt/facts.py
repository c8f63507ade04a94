"""The four deciding facts under the verdict: a number, its interval, and where it lies from the
bound that somebody set for it.
"""

from dataclasses import dataclass

from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.reading import reading
from stillhouse.receipt.ruled import Ruled, place, ruled


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        label: What the number is.
        number: The estimate.
        unit: Of the number.
        spread: Interval and rows, or what else is known.
        strip: Low, estimate, high in per cent of the strip; None without a bound.
        verdict: How the strip is drawn: pass, fail or undecided.
        caption: The bound in words, or "no rule on it".
        exact: Whether the number has no interval.
    """

    label: str
    number: str
    unit: str
    spread: str
    strip: tuple[float, float, float] | None
    verdict: str
    caption: str
    exact: bool = False


def facts(receipt: Json) -> list[Fact]:
    """Return four facts: accuracy, gain over labels alone, against the champion (or over decisions
    alone), size and latency.
    """
    found = ruled(receipt)
    second = (
        _against_champion(receipt, found)
        if receipt["evidence"]["flips"]
        else _gain(receipt, "hard", "Gain over the teacher’s decisions")
    )
    return [
        fact
        for fact in (
            _accuracy(receipt, found),
            _gain(receipt, "none", "Gain over labels alone"),
            second,
            _size(receipt, found),
        )
        if fact
    ]


def _rule(found: list[Ruled], metric: str, against: str = "") -> Ruled | None:
    return next((r for r in found if r.metric == metric and r.against == against and r.strip), None)


def _accuracy(receipt: Json, found: list[Ruled]) -> Fact:
    read = reading(receipt)
    student, teacher = receipt["student"][read.key], receipt["teacher"][read.key]
    rule = _rule(found, f"test/{read.of.key}")
    link = "of the teacher’s" if read.of.more_is_better else "the teacher’s"
    return Fact(
        label=f"{read.of.label}, {link} {read.number(teacher[1])}",
        number=read.number(student[1]),
        unit=numbers.plain(read.of.unit, 12),
        spread=f"{read.spread(student)}, {numbers.count(receipt['data']['rows']['test'], 'row')}",
        strip=rule.strip if rule else None,
        verdict=rule.verdict if rule else "pass",
        caption=rule.limit if rule else "no rule on it",
    )


def _gain(receipt: Json, over: str, label: str) -> Fact | None:
    gain = next((g for g in receipt["teacher_gain"] if g["over"] == over), None)
    if gain is None:
        return None
    low, high, read = gain["interval"][0], gain["interval"][-1], reading(receipt)
    return Fact(
        label=label,
        number=read.signed(gain["estimate"]),
        unit=numbers.plain(read.amount, 12),
        spread=f"{numbers.between(low, high, read.signed)}, {numbers.count(gain['seeds'], 'seed')}",
        strip=place(low, gain["estimate"], high, bound=0.0),
        verdict="pass" if low > 0 else "fail" if high < 0 else "undecided",
        caption="0, no gain",
    )


def _against_champion(receipt: Json, found: list[Ruled]) -> Fact:
    drawn, flips = receipt["evidence"]["flips"], receipt["flips"]
    rule = _rule(found, f"test/{reading(receipt).of.key}", "champion")
    interval = f"{rule.interval}, " if rule and rule.interval.startswith("[") else ""
    return Fact(
        label=f"Against {flips['against']}".replace("version ", f"version{NBSP}"),
        number=numbers.points(drawn["difference"]),
        unit="points",
        spread=f"{interval}{flips['negative']} lost, {flips['positive']} won",
        strip=rule.strip if rule else None,
        verdict=rule.verdict if rule else "pass",
        caption=rule.limit if rule else "no rule on it",
    )


def _size(receipt: Json, found: list[Ruled]) -> Fact:
    edge = receipt["edge"]
    rule = _rule(found, "edge/size_kb")
    return Fact(
        label="Size and latency",
        number=numbers.kilobytes(edge["onnx_bytes"]),
        unit="kB",
        spread=f"p95 {numbers.milliseconds(edge['latency_ms_p95'])}{NBSP}ms, one row, one thread",
        strip=rule.strip if rule else None,
        verdict=rule.verdict if rule else "pass",
        caption=rule.limit if rule else "no rule on it",
        exact=True,
    )
