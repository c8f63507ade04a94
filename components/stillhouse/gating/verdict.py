"""From rules and evidence to promote, hold or reject, with a stated error rate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stillhouse.gating import words
from stillhouse.gating.audit import audit
from stillhouse.gating.evidence import Evidence
from stillhouse.gating.rule import Asked, Rule, Test

RuleVerdict = Literal["pass", "fail", "undecided", "not_applicable"]
Decision = Literal["promote", "hold", "reject"]


@dataclass(frozen=True)
class Finding:
    """One rule's answer, as the receipt tells it; None wherever a number does not apply.

    Attributes:
        name: Unique among the rules.
        verdict: Undecided never promotes; not_applicable does not count.
        gates: Whether it decides.
        metric: What it speaks about.
        against: Whom it compares with.
        observed: On the test rows.
        bound: What is required.
        direction: At least (>=) or at most (<=) that.
        unit: Of observed and bound.
        interval: One-sided bounds of `observed`, each at `level`.
        level: The error rate at which it was judged.
        rows_used: Rows that it read.
        rows_total: Rows that there are.
        rows_needed: About how many would decide.
        power: How often an equal student passes.
        p_value: Of "the bound is missed".
        discordant: Rows lost and won.
        about: Which part of the rows was worst, where that is what is judged.
        guards: Whether it is an alarm, that can hold and never promotes.
        audit: What it does to students that are known; see `gating.audit`.
        sentence: All of it in words.
    """

    name: str
    verdict: RuleVerdict
    gates: bool
    metric: str
    against: str | None
    observed: float | None
    bound: float | None
    direction: str
    unit: str
    interval: list[float] | None
    level: float | None
    rows_used: int | None
    rows_total: int | None
    rows_needed: int | None
    power: float | None
    p_value: float | None
    discordant: list[int] | None
    about: str = ""
    guards: bool = False
    audit: dict[str, Any] | None = None
    sentence: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes:
        verdict: Any gating fail rejects; else anything gating that is undecided holds; else
            promote.
        findings: A rule each, in their order.
        alpha: The stated error rate.
        why: The decision in one sentence.
    """

    verdict: Decision
    findings: tuple[Finding, ...]
    alpha: float
    why: str

    def count(self, verdict: RuleVerdict) -> int:
        """Return how many rules that decide have that verdict; an alarm that went off is one that
        is undecided.
        """
        counted = [f for f in self.findings if f.gates and (not f.guards or f.verdict != "pass")]
        return sum(f.verdict == verdict for f in counted)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON's form of it."""
        rules = [dict(vars(f)) for f in self.findings]
        return {
            "verdict": self.verdict,
            "alpha": self.alpha,
            "rules": rules,
            "why": self.why,
            "error_rate": words.error_rate(self.alpha),
        }


def judge(
    rules: Sequence[Rule], evidence: Evidence, alpha: float = 0.05, *, alarms: float | None = None
) -> Verdict:
    """Return the verdict over all rules.

    Gating rules are judged together: Holm's step-down test over the p-values of those that apply
    and read rows keeps the probability that *any* rule passes whose bound the population misses at
    `alpha` or below. Watched rules decide nothing and take nothing from that: each is judged alone,
    at `alpha`. A rule fails where the other end of its interval, at the same level, does not reach
    the bound. An alarm is judged at `alarms` by that end alone: it passes unless the bound is shown
    to be missed, and then holds. What is known exactly needs no test.

    Args:
        rules: In the receipt's order.
        evidence: What was measured.
        alpha: In (0, 0.5).
        alarms: How often an alarm may ring for nothing; as `alpha` where none is given. What a life
            leaves of `alpha` shrinks, and would make alarms deaf.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6.
    """
    strictest = alpha / max(1, sum(decides(rule) for rule in rules))
    asked = [rule.ask(evidence, strictest if rule.gates else alpha) for rule in rules]
    tested = [
        at
        for at, (rule, of) in enumerate(zip(rules, asked, strict=True))
        if decides(rule) and of.applies and not of.exact
    ]
    levels = dict(zip(tested, holm([p_value(asked[at]) for at in tested], alpha), strict=True))
    ringing = alpha if alarms is None else alarms
    found = zip(unique([rule.label for rule in rules]), rules, asked, strict=True)
    findings = tuple(
        _finding(name, rule, of, ringing if rule.guards else levels.get(at, alpha), evidence)
        for at, (name, rule, of) in enumerate(found)
    )
    decision = decide(
        [f.verdict for f in findings if f.gates and not f.guards],
        [f.verdict for f in findings if f.gates and f.guards],
    )
    return Verdict(decision, findings, alpha, words.why(decision, findings))


def decides(rule: Rule) -> bool:
    """Whether a rule has to pass; an alarm only must not go off."""
    return rule.gates and not rule.guards


def decide(gating: Sequence[RuleVerdict], alarms: Sequence[RuleVerdict] = ()) -> Decision:
    """Return the decision over the verdicts of the rules that decide, and of the alarms.

    Where no rule applies nothing was shown, and nothing is promoted, however quiet the alarms.
    """
    if "fail" in gating:
        return "reject"
    if "undecided" in alarms:
        return "hold"
    return "hold" if "undecided" in gating or "pass" not in gating else "promote"


def p_value(asked: Asked) -> float:
    """Return the p-value of "the bound is missed"; 1 where nothing could be observed."""
    return 1.0 if asked.test is None else asked.test.met


def holm(p_values: Sequence[float], alpha: float) -> list[float]:
    """Return the level at which each of k tests is judged.

    The i-th smallest p-value (from 0) is judged at α / (k − i), as long as all smaller ones passed;
    after the first that does not, all are judged at its level, at which none of them passes.

    Example:
        >>> [round(level, 4) for level in holm([0.001, 0.5, 0.02], 0.06)]
        [0.02, 0.06, 0.03]
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    levels, level, open_ = [0.0] * len(p_values), 0.0, True
    for rank, at in enumerate(order):
        if open_:
            level = alpha / (len(p_values) - rank)
            open_ = p_values[at] <= level
        levels[at] = level
    return levels


def unique(labels: Sequence[str]) -> list[str]:
    """Return the labels with " (2)", " (3)" behind those that were there before."""
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        seen[label] += 1
        names.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return names


def _finding(name: str, rule: Rule, asked: Asked, level: float, evidence: Evidence) -> Finding:
    verdict = _verdict(asked, level, rule.guards)
    test = asked.test
    bare = Finding(
        name=name,
        verdict=verdict,
        gates=rule.gates,
        metric=rule.metric,
        against=rule.against,
        observed=asked.observed,
        bound=asked.bound,
        direction=asked.direction,
        unit=asked.unit,
        interval=None
        if test is None
        else list(test.interval(level))
        if rule.guards
        else _interval(asked, verdict, test.interval(level)),
        level=None if test is None else level,
        rows_used=None if test is None else test.rows,
        rows_total=None if test is None else evidence.rows,
        rows_needed=test.rows_needed(level)
        if test is not None and verdict == "undecided" and not rule.guards
        else None,
        power=None if test is None else test.power(level),
        p_value=None if test is None else test.met,
        discordant=None if test is None or test.discordant is None else list(test.discordant),
        about=asked.about,
        guards=rule.guards,
        audit=_audit(rule, test, level),
    )
    return Finding(**{**vars(bare), "sentence": words.sentence(bare, asked.why)})


def _audit(rule: Rule, test: Test | None, level: float) -> dict[str, Any] | None:
    found = audit(test, level) if decides(rule) else None
    return None if found is None else asdict(found)


def _verdict(asked: Asked, level: float, alarm: bool) -> RuleVerdict:
    if not asked.applies:
        return "not_applicable"
    if alarm and asked.observed is not None:
        missed = asked.test.missed <= level if asked.test else not asked.reaches(asked.observed)
        return "undecided" if missed else "pass"
    if asked.observed is None:
        return "undecided"
    if asked.test is None:
        return "pass" if asked.reaches(asked.observed) else "fail"
    if asked.test.met <= level:
        return "pass"
    return "fail" if asked.test.missed <= level else "undecided"


def _interval(asked: Asked, verdict: RuleVerdict, interval: tuple[float, float]) -> list[float]:
    """Let the interval's end, found from outside to a thousandth, agree with the p-value where the
    bound is that near.
    """
    low, high = interval
    bound = asked.bound
    if bound is None or asked.observed is None:
        return [low, high]
    above = asked.direction == ">="
    if verdict == "pass":
        low, high = (max(low, bound), high) if above else (low, min(high, bound))
    elif verdict == "undecided":
        low, high = min(low, bound), max(high, bound)
    return [min(low, asked.observed), max(high, asked.observed)]
