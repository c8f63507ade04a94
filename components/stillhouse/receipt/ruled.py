"""A rule as the page and the terminal tell it: its name in words, numbers in its unit, and where
they lie from the bound.
"""

from dataclasses import dataclass

from stillhouse.receipt import numbers
from stillhouse.receipt.outcomes import Json

NAMES = {
    "test/accuracy": "Accuracy",
    "val/accuracy": "Validation accuracy",
    "test/balanced_accuracy": "Balanced accuracy",
    "test/ece": "Calibration, ECE",
    "test/nll": "Log-likelihood, NLL",
    "test/brier": "Brier score",
    "test/adaptive_ece": "Calibration, equal bins",
    "test/aurc": "Risk by coverage, AURC",
    "test/worst_class": "Worst class",
    "slices/worst": "Worst slice",
    "robust/masking/alarms": "Masked gradients",
    "fidelity/agreement": "Agrees with its teacher",
    "fidelity/worst_class": "Agrees, worst class",
    "ood/noise": "Noise told apart, AUROC",
    "ood/mixed": "Mixed rows told apart, AUROC",
    "flips/negative": "Negative flips",
    "flips/worst_class": "Negative flips, worst class",
    "flips/worst_slice": "Negative flips, worst slice",
    "test/auc": "Ranking, AUC",
    "test/sensitivity": "Sensitivity",
    "test/specificity": "Specificity",
    "test/precision": "Precision",
    "test/rmse": "Error, RMSE",
    "test/mae": "Error, mean absolute",
    "test/r2": "Variance explained, R²",
    "test/pinball": "Error of the quantiles",
    "test/coverage": "Covered by the quantiles",
    "edge/int8_mae": "Error as int8, mean absolute",
    "test/exact_match": "Exact match",
    "test/hamming_loss": "Wrong labels, Hamming",
    "test/micro_f1": "F1 over all labels, micro",
    "test/macro_f1": "F1, mean of the labels",
    "test/map": "Mean average precision",
    "test/macro_auc": "Ranking, mean AUC",
    "test/worst_ece": "Calibration, worst label",
    "test/called_exact_match": "Exact match, own thresholds",
    "test/worst_sensitivity": "Sensitivity, worst label",
    "test/worst_specificity": "Specificity, worst label",
    "test/worst_precision": "Precision, worst label",
    "test/worst_label": "Worst label",
    "test/worst_found": "Worst label, found",
    "flips/worst_label": "Negative flips, worst label",
    "edge/int8_exact_match": "Exact match as int8",
    "robust/linf/exact_match": "Under attack, L∞",
    "robust/l2/exact_match": "Under attack, L2",
    "corruption/mean_exact_match": "Under corruption, mean",
    "robust/linf/accuracy": "Under attack, L∞",
    "robust/l2/accuracy": "Under attack, L2",
    "corruption/mean_accuracy": "Under corruption, mean",
    "receipt/gain_over_none": "Gain over none",
    "receipt/gain_over_hard": "Gain over hard",
    "edge/size_kb": "Size",
    "drift/features": "Drifted features",
    "edge/int8_size_kb": "Size as int8",
    "edge/int8_agreement": "int8 agrees with fp32",
    "edge/parity_max_error": "ONNX against PyTorch",
    "edge/macs": "Work",
}
MAIN = ("test/accuracy", "test/exact_match")  # what models are compared by goes without saying
# as in the literature
UNSCALED = (
    "/ece",
    "/worst_ece",
    "/auc",
    "/macro_auc",
    "/adaptive_ece",
    "/aurc",
    "/noise",
    "/mixed",
)
AT_MOST = "<="
BOUND_AT = 35.0  # per cent of the strip's width; right of it the rule is met
LEFT, RIGHT = 31.0, 60.0  # room on both sides, per cent


@dataclass(frozen=True)
class Ruled:
    """One rule in words.

    Attributes:
        key: Its unique name in the receipt.
        metric: Path of what it judges; empty if unknown.
        against: Whom it compares with; empty for an absolute rule.
        name: In words, without unit.
        unit: "%", "points", …; empty if dimensionless.
        verdict: pass, fail, undecided or not_applicable.
        gates: Whether it decides.
        most: Whether the bound is an upper one.
        bound: The bound as text, without a sign of comparison.
        observed: As text; "" where there is none.
        interval: "[low, high]", or "exact".
        seen: Which rows it read.
        note: What would decide, why it was not asked; empty else.
        strip: Low, estimate, high in per cent of the strip's width; None if nothing was observed.
        guards: Whether it is an alarm.
        about: Which part of the rows was worst, where that is judged.
        shortfall: How far the nearer end is on the wrong side of the bound, in widths of the
            interval; 0 if it is not.
    """

    key: str
    metric: str
    against: str
    name: str
    unit: str
    verdict: str
    gates: bool
    most: bool
    bound: str
    observed: str
    interval: str
    seen: str
    note: str
    strip: tuple[float, float, float] | None
    shortfall: float
    guards: bool = False
    about: str = ""

    @property
    def decides(self) -> bool:
        """Whether it has to pass; an alarm only must not go off."""
        return self.gates and not self.guards

    @property
    def said(self) -> str:
        """The verdict in a word."""
        if self.guards and self.verdict != "not_applicable":
            return "quiet" if self.verdict == "pass" else "alarm"
        return "not asked" if self.verdict == "not_applicable" else self.verdict

    @property
    def label(self) -> str:
        """The name with its unit, as a table's row is called."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def required(self) -> str:
        """The bound as a table shows it."""
        return f"{'≤' if self.most else '≥'} {self.bound}"

    @property
    def limit(self) -> str:
        """The bound as a sentence says it."""
        return f"at {'most' if self.most else 'least'} {self.bound}"

    @property
    def amount(self) -> str:
        """The unit with its space, to follow a number."""
        return f"{numbers.NBSP}{self.unit}" if self.unit else ""


def ruled(receipt: Json) -> list[Ruled]:
    """Return the rules of a receipt in words, in the gate's order."""
    champion = receipt["evidence"]["champion"]
    other = f"version{numbers.NBSP}{champion['version']}" if champion else "the champion"
    robust = receipt["evidence"]["robustness"]
    attacks = [*robust["attacks"], *(robust.get("probes") or [])]
    return [_ruled(rule, other, attacks) for rule in receipt["rules"]]


def _ruled(rule: Json, champion: str, attacks: list[Json]) -> Ruled:
    metric, against = str(rule.get("metric") or ""), str(rule.get("against") or "")
    unit, scale = _unit(rule.get("unit"), metric, against)
    # An alarm's bound is measured, not written by anybody.
    digits = 1 if rule.get("guards") else _digits(rule["bound"], scale)
    number = numbers.signed if against else numbers.fixed

    def write(value: float) -> str:
        return number(scale * value, digits)

    most = rule["direction"] == AT_MOST
    low, high = _ends(rule)
    return Ruled(
        key=rule["name"],
        metric=metric,
        against=against,
        name=_name(rule["name"], metric, against, champion, _ball(metric, attacks)),
        unit=unit,
        verdict=rule["verdict"],
        gates=rule["gates"],
        most=most,
        bound="" if rule["bound"] is None else write(rule["bound"]),
        observed="" if rule["observed"] is None else write(rule["observed"]),
        interval=""
        if rule["observed"] is None
        else "exact"
        if low is None or high is None
        else numbers.between(low, high, write),
        seen=_seen(rule),
        note=_note(rule),
        strip=_strip(rule, most),
        shortfall=_shortfall(rule, most),
        guards=bool(rule.get("guards")),
        about=numbers.plain(rule.get("about") or "", 160),
    )


def _name(name: str, metric: str, against: str, champion: str, ball: str) -> str:
    base = (
        NAMES.get(
            metric,
            metric.removeprefix("robust/").removesuffix("/accuracy").removesuffix("/exact_match")
            if metric.startswith("robust/")
            else metric,
        )
        or name
    )
    if not against:
        return numbers.plain(base, 40) + ball
    whom = {
        "champion": champion,
        "teacher": "the teacher",
        "none": "control none",
        "hard": "control hard",
    }.get(against, against)
    return numbers.plain(
        f"Against {whom}" if metric in MAIN else f"{base}{ball} against {whom}", 48
    )


def _ball(metric: str, attacks: list[Json]) -> str:
    """Return the epsilon that an accuracy under attack speaks of; without it the number means
    nothing.
    """
    family, _, rest = metric.partition("/")
    key = rest.partition("/")[0]
    if family != "robust":
        return ""
    sizes = sorted(
        {
            float(a["epsilon"])
            for a in attacks
            if a.get("epsilon") is not None and a.get("norm") == key
        }
    )
    return " " + ", ".join(f"{size:g}" for size in sizes) if sizes else ""


def _unit(unit: str | None, metric: str, against: str) -> tuple[str, float]:
    """Return unit and factor; a share is read as per cent, a difference of shares as points, a
    calibration error as it is in the literature.
    """
    if unit == "share" and not metric.endswith(UNSCALED):
        return ("points" if against else "%"), 100.0
    return ("" if unit in (None, "share") else numbers.plain(unit, 12)), 1.0


def _digits(bound: float | None, scale: float) -> int:
    """Return the decimals that show a bound as it was written: one at least, four at most; small
    bounds without per cent get three, and large ones that were worked out one or none.
    """
    value = 0.0 if bound is None else abs(scale * bound)
    least = 3 if scale == 1 and 0 < value < 1 else 1
    most = 0 if value >= 1000 else 1 if value >= 100 else 4
    written = range(least, 4 if value < 100 else 2)
    return next((digits for digits in written if abs(round(value, digits) - value) < 1e-9), most)


def _ends(rule: Json) -> tuple[float | None, float | None]:
    interval = rule["interval"]
    return (None, None) if not interval else (interval[0], interval[-1])


def _seen(rule: Json) -> str:
    if rule["rows_used"] is None:
        return "exact" if rule["observed"] is not None and not rule["interval"] else ""
    return f"{rule['rows_used']:,}" + (
        f" of {rule['rows_total']:,}" if rule["rows_total"] is not None else ""
    )


def _note(rule: Json) -> str:
    if rule.get("about") and rule["verdict"] != "not_applicable":
        return numbers.plain(rule["about"], 120)
    if rule["verdict"] == "not_applicable" and rule.get("guards"):
        return "not asked: nothing was looked at"
    if rule["verdict"] == "not_applicable":
        return "not asked: no version in production"
    if rule["verdict"] == "undecided" and rule["observed"] is None:
        return "not measured"
    if rule["verdict"] == "undecided" and rule["rows_needed"] is not None:
        return f"about {_round(rule['rows_needed']):,} rows would decide"
    if rule["power"] is not None and rule["bound"] is not None and rule["bound"] < 0:
        return f"an equal student would pass in {100 * rule['power']:.0f}{numbers.NBSP}%"
    return ""


def _round(rows: int) -> int:
    """Two digits are all that such a forecast is worth; rounded up, so that it is never too few."""
    step: int = 10 ** max(0, len(str(rows)) - 2)
    return -(-rows // step) * step


def _strip(rule: Json, most: bool) -> tuple[float, float, float] | None:
    if rule["observed"] is None or rule["bound"] is None:
        return None
    low, high = _ends(rule)
    return place(
        rule["observed"] if low is None else low,
        rule["observed"],
        rule["observed"] if high is None else high,
        bound=rule["bound"],
        most=most,
    )


def place(
    low: float, estimate: float, high: float, *, bound: float, most: bool = False
) -> tuple[float, float, float]:
    """Return where an interval lies on a rule strip, in per cent of its width: the bound is at 35,
    right of it is met, each row has its own scale.
    """
    sign = -1.0 if most else 1.0
    left, right = sorted((sign * (low - bound), sign * (high - bound)))
    scale = max(right / RIGHT, -left / LEFT) or 1.0
    return (
        BOUND_AT + left / scale,
        BOUND_AT + sign * (estimate - bound) / scale,
        BOUND_AT + right / scale,
    )


def _shortfall(rule: Json, most: bool) -> float:
    if rule["observed"] is None or rule["bound"] is None:
        return 0.0
    low, high = _ends(rule)
    nearer = rule["observed"] if low is None or high is None else low if most else high
    missing: float = (nearer - rule["bound"]) if most else (rule["bound"] - nearer)
    width: float = abs(rule["bound"]) if low is None or high is None else high - low
    return max(0.0, missing / (width or 1.0))
