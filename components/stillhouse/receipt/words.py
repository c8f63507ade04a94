"""The verdict in one word, why in one sentence, and what it does not say.

No sentence claims more than its interval.
"""

from dataclasses import dataclass

from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.reading import reading
from stillhouse.receipt.ruled import Ruled, ruled

WORDS = {"promote": "Promoted", "hold": "Held", "reject": "Rejected"}
ASIDES = {"promote": "What this does not say", "hold": "What would decide", "reject": "What failed"}
SECTIONS = {
    "robust": "withstands",
    "corruption": "withstands",
    "edge": "device",
    "receipt": "teacher",
}


@dataclass(frozen=True)
class Line:
    """One line beside the verdict.

    Attributes:
        text: A sentence.
        section: The id of the section that shows it; empty if none does.
    """

    text: str
    section: str = ""


@dataclass(frozen=True)
class Headline:
    """What a manager reads.

    Attributes:
        key: promote, hold or reject.
        word: The verdict.
        lead: Why.
        aside: Heading of the lines.
        lines: One to three.
    """

    key: str
    word: str
    lead: str
    aside: str
    lines: tuple[Line, ...]


def headline(receipt: Json) -> Headline:
    """Return the verdict of a receipt in words."""
    key, found = receipt["verdict"], ruled(receipt)
    lead, lines = {"promote": _promoted, "hold": _held, "reject": _rejected}[key](receipt, found)
    word = "Passed" if key == "promote" and waits(receipt) else WORDS[key]
    return Headline(key, word, lead, ASIDES[key], tuple(lines[:3]))


def waits(receipt: Json) -> bool:
    """Whether somebody has to approve a student that passed, so that it is not promoted yet."""
    return bool((receipt["settings"].get("release") or {}).get("approval"))


def name(receipt: Json) -> str:
    """Return how a student is called before it has a version: the first 8 digits of its
    fingerprint.
    """
    return f"student {receipt['student']['fingerprint'][:8]}"


def version(receipt: Json) -> str | None:
    """Return the version in production, in words, or None."""
    champion = receipt["evidence"]["champion"]
    return f"version{NBSP}{champion['version']}" if champion else None


def kept(receipt: Json) -> str:
    """Return what share of its teacher's accuracy a student keeps, and at which share of its
    parameters.
    """
    student, teacher, read = receipt["student"], receipt["teacher"], reading(receipt)
    sentence = "It could not be compared with its teacher, who got no row right"
    if not read.of.more_is_better:
        off = f"{read.number(student[read.key][1])} {read.of.unit}".strip()
        sentence = (
            f"It is off by {numbers.plain(off, 40)} on average, where its teacher is off by "
            f"{read.number(teacher[read.key][1])}"
        )
    elif teacher[read.key][1] > 0:
        share = student[read.key][1] / teacher[read.key][1]
        what = read.of.label.lower()
        sentence = f"It keeps {numbers.percent(share)}{NBSP}% of its teacher’s {what}"
    if not teacher["parameters"] or not student["parameters"]:
        return sentence
    ratio = teacher["parameters"] / student["parameters"]
    if ratio >= 1.5:
        return f"{sentence} at 1/{ratio:.0f} of its parameters"
    larger = " (the teacher is the smaller model)" if ratio < 1 else ""
    return f"{sentence} with {numbers.fixed(1 / ratio)} times its parameters{larger}"


def _promoted(receipt: Json, found: list[Ruled]) -> tuple[str, list[Line]]:
    champion = version(receipt)
    decide = [r for r in found if r.decides and r.verdict != "not_applicable"]
    who = name(receipt)
    first = (
        f"{numbers.capital(who)} replaces {champion}."
        if champion
        else f"The first version of {numbers.plain(receipt['model'], 40)} in production, {who}."
    )
    if waits(receipt):
        first = (
            f"{numbers.capital(who)} may "
            f"{f'replace {champion}' if champion else 'go into production'} once somebody "
            "approves it."
        )
    passed = {0: "no rule was asked to decide", 1: "the one rule that decides was passed"}.get(
        len(decide), f"all {numbers.word(len(decide))} rules that decide were passed"
    )
    return f"{first} {kept(receipt)}, and {passed}.", _unsaid(receipt, found)


def _unsaid(receipt: Json, found: list[Ruled]) -> list[Line]:
    lines = [Line(told, "data") for told in [held_out(receipt)] if told]
    flips, champion = receipt["evidence"]["flips"], version(receipt)
    if flips and champion and flips["p"] <= 0.05 and flips["difference"] < 0:
        lines.append(
            Line(
                f"It loses {numbers.fixed(-100 * flips['difference'])} points to {champion} "
                "on the test rows, within the margin that was granted.",
                "flips",
            )
        )
    elif flips and champion and flips["p"] > 0.05:
        against = next(
            (
                r
                for r in found
                if r.against == "champion"
                and r.metric == f"test/{reading(receipt).of.key}"
                and r.verdict == "pass"
            ),
            None,
        )
        only = (
            f", only not worse by more than {against.bound.lstrip('−')} points"
            if against and against.bound.startswith("−")
            else ""
        )
        lines.append(
            Line(
                f"It is not shown to be better than {champion} "
                f"(p{NBSP}={NBSP}{numbers.fixed(flips['p'], 2)}){only}.",
                "flips",
            )
        )
    watched = [
        r for r in found if not r.gates and not r.guards and r.verdict in ("fail", "undecided")
    ]
    for rule in sorted(watched, key=lambda r: r.verdict)[:2]:
        lines.append(Line(_watched(rule), "rules"))
    rows = receipt["data"]["rows"]
    if rows["labelled"] < rows["train"] and receipt["teacher"]["name"] == "fit":
        lines.append(
            Line(
                f"The teacher had all {numbers.count(rows['train'], 'label')}; the student "
                f"had {numbers.count(rows['labelled'])}.",
                "data",
            )
        )
    if not champion:
        lines.append(
            Line("It is compared with no other version: nothing was in production.", "flips")
        )
    return lines or [Line("How it does on rows unlike the test rows.", "withstands")]


def held_out(receipt: Json) -> str:
    """Return what intervals that count rows do not know of groups that were held out whole; empty
    without groups.
    """
    told = receipt["evidence"].get("groups")
    if not told:
        return ""
    low, _, high = (numbers.fixed(100 * value) for value in told["over"])
    lowest, highest = (numbers.fixed(100 * told[key]) for key in ("lowest", "highest"))
    return (
        f"Intervals count rows, and those are of {numbers.word(told['groups'])} held-out groups: "
        f"right in {lowest} to {highest}{NBSP}% of a group, over such groups [{low}, {high}]."
    )


def _watched(rule: Ruled) -> str:
    if not rule.observed:
        return f"{rule.name} is only watched, and was not measured."
    said = "failed" if rule.verdict == "fail" else "is undecided"
    return (
        f"{rule.name} is only watched, and {said}: {rule.observed} {rule.interval}{rule.amount}, "
        f"{rule.limit} is asked."
    )


def _held(receipt: Json, found: list[Ruled]) -> tuple[str, list[Line]]:
    decide = [r for r in found if r.decides and r.verdict != "not_applicable"]
    open_ = [r for r in decide if r.verdict == "undecided"]
    alarms = [r for r in found if r.gates and r.guards and r.verdict == "undecided"]
    if alarms and not open_:
        return _alarmed(receipt, alarms)
    if not open_:
        return f"{_stays(receipt)} No rule that decides applies, so nothing was shown.", [
            Line(
                "A rule under gate.rules that speaks about this student, such as a bound on "
                f"test/{reading(receipt).of.key}."
            )
        ]
    passed = len([r for r in decide if r.verdict == "pass"])
    which = "; ".join(maybe(r) for r in open_[:2])
    if len(decide) == 1:
        score = "The one rule that decides is undecided"
    else:
        score = (
            f"{numbers.capital(numbers.word(passed))} of {numbers.word(len(decide))} rules "
            f"{'was' if passed < 2 else 'were'} passed"
        )
        score += f" and {numbers.word(len(open_))} {'is' if len(open_) == 1 else 'are'} undecided"
    lines = [Line(_would_decide(r, receipt), "rules") for r in open_]
    lines.append(Line("Or state a wider bound, before looking at new rows, that you would accept."))
    return f"{_stays(receipt)} {score}: {which}.", lines


def _alarmed(receipt: Json, alarms: list[Ruled]) -> tuple[str, list[Line]]:
    """Every rule was passed, and yet: say where it collapses."""
    first = alarms[0]
    lead = (
        f"{_stays(receipt)} Every rule that decides was passed, but an alarm went off: "
        f"{first.name.lower()} {first.observed} {first.interval}{first.amount}, in {first.about}, "
        f"where {first.limit} was to be expected."
    )
    return lead, [
        Line(
            "Look at the rows of that slice, and at what it has that the others have not.", "trust"
        ),
        Line("More labelled rows of that kind, or a teacher that knows them.", "data"),
    ]


def _would_decide(rule: Ruled, receipt: Json) -> str:
    there = f"there are {numbers.count(receipt['data']['rows']['test'])}"
    if not rule.observed:
        return f"{rule.name}: a measurement; this run has none."
    if not rule.note:
        return f"{rule.name}: {there}, and no number of rows like these would decide."
    return f"{rule.name}: {rule.note}; {there}."


def maybe(rule: Ruled) -> str:
    """Return an undecided rule in words, with "may"."""
    name = rule.name[0].lower() + rule.name[1:] if rule.name[1:2].islower() else rule.name
    if rule.against:
        name = (
            f"the difference {name.replace('against', 'to')}"
            if name.startswith("against")
            else name
        )
    if not rule.observed:
        return f"{name} was not measured"
    return f"{name} may lie {'above' if rule.most else 'below'} {rule.bound}{rule.amount}"


def shortly(rule: Ruled) -> str:
    """Return a rule that was not met in one sentence."""
    if rule.verdict == "undecided":
        return f"{maybe(rule)}."
    interval = f" {rule.interval}" if rule.interval.startswith("[") else ""
    return f"{rule.name}: {rule.observed}{interval}{rule.amount}, where {rule.limit} is required."


def _rejected(receipt: Json, found: list[Ruled]) -> tuple[str, list[Line]]:
    failed = sorted(
        (r for r in found if r.gates and r.verdict == "fail"), key=lambda r: -r.shortfall
    )
    worst = failed[0]
    interval = f" {worst.interval}" if worst.interval.startswith("[") else ""
    more = (
        f" {numbers.capital(numbers.word(len(failed) - 1))} more "
        f"{'rule' if len(failed) == 2 else 'rules'} failed."
        if len(failed) > 1
        else ""
    )
    lead = (
        f"{_stays(receipt)} {worst.name}: observed {worst.observed}{interval}{worst.amount} "
        f"where {worst.limit} is required.{more}"
    )
    return lead, [
        Line(
            shortly(r),
            SECTIONS.get(
                r.metric.partition("/")[0], "flips" if r.against == "champion" else "rules"
            ),
        )
        for r in failed
    ]


def _stays(receipt: Json) -> str:
    champion = version(receipt)
    return (
        f"{numbers.capital(champion)} stays."
        if champion
        else f"No version of {numbers.plain(receipt['model'], 40)} is in production, and this one "
        "does not become it."
    )
