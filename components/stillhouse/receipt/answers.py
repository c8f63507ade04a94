"""The answer sentence of each section of the page; where something was not measured, the sentence
says so and the figure is left out.
"""

from stillhouse.evaluation.tasks import TASKS
from stillhouse.receipt import label_points, numbers, several, trust_words, words
from stillhouse.receipt.advice import untold
from stillhouse.receipt.attacked import attack, attack_of, corruption, plain
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.reading import reading
from stillhouse.receipt.ruled import Ruled, ruled
from stillhouse.receipt.two_classes import sentence


def answers(receipt: Json) -> dict[str, str]:
    """Return section id → answer."""
    made = (rules, teacher, flips, mistakes, classes, withstands, device, search, data, drift, cost)
    return {**{one.__name__: one(receipt) for one in made}, "trust": trust_words.answer(receipt)}


def rules(receipt: Json) -> str:
    """Return how many rules were passed."""
    found = ruled(receipt)
    parts = []
    for gates, noun in ((True, "that decide"), (False, "that are only watched")):
        asked = [
            r for r in found if r.gates == gates and not r.guards and r.verdict != "not_applicable"
        ]
        if asked:
            said = {"pass": "passed", "fail": "failed", "undecided": "undecided"}
            counts = [
                (numbers.word(len([r for r in asked if r.verdict == v])), w)
                for v, w in said.items()
                if any(r.verdict == v for r in asked)
            ]
            parts.append(
                f"Of the {numbers.word(len(asked))} {noun}, "
                f"{numbers.listed([f'{n} {w}' for n, w in counts])}."
            )
    parts += [_alarm(r) for r in found if r.guards and r.verdict != "not_applicable"]
    skipped = len([r for r in found if r.verdict == "not_applicable" and not r.guards])
    if skipped:
        parts.append(
            f"{numbers.capital(numbers.word(skipped))} {'was' if skipped == 1 else 'were'} "
            "not asked: no version is in production."
        )
    return (
        " ".join(parts)
        .replace("Of the one that decide,", "Of the one that decides,")
        .replace("Of the one that are", "Of the one that is")
        or "No rule was set."
    )


def _alarm(rule: Ruled) -> str:
    if rule.verdict == "pass":
        return f"The alarm “{rule.name.lower()}” is quiet."
    what = "An alarm" if rule.gates else "A watched alarm"
    return f"{what} went off, “{rule.name.lower()}”: {rule.about}."


def teacher(receipt: Json) -> str:
    """Return what the gains allow to say of the teacher."""
    gains = receipt["teacher_gain"]
    if not gains:
        return "Not measured against controls; this receipt cannot say what the teacher gave."
    advised = (receipt.get("teacher_advice") or {}).get("sentence", "")
    parts = [*(gain["sentence"] for gain in gains), advised, untold(receipt.get("transfer"))]
    return " ".join(part for part in parts if part).replace("'", "’")


def flips(receipt: Json) -> str:
    """Return what changes against the champion."""
    found, drawn, rows = (
        receipt["flips"],
        receipt["evidence"]["flips"],
        receipt["data"]["rows"]["test"],
    )
    if undecided := _no_decision(receipt):
        return f"Not asked: {undecided}. The rules compare its errors with those of the champion."
    if drawn is None and receipt["evidence"]["champion"]:
        return f"Not measured: {words.version(receipt)} could not be asked about today’s test rows."
    if drawn is None:
        model = numbers.plain(receipt["model"], 40)
        return (
            f"Nothing yet: no version of {model} is in production. From the next version on, "
            "this section names every row whose answer changes."
        )
    if not found["negative"] and not found["positive"]:
        return (
            f"No test row changes from right to wrong or back: 0 of {rows:,}, at most "
            f"{_at_most(rows)}{NBSP}% of such rows."
        )
    lost, won = (
        _turn(found["negative"], "right", "wrong"),
        _turn(found["positive"], "wrong", "right"),
    )
    return f"Of {numbers.count(rows, 'test row')}, {lost} and {won}.{_shown(drawn['p'])}"


def _shown(p: float) -> str:
    return f" Neither is shown to be better (p = {numbers.fixed(p, 2)})." if p > 0.05 else ""


def _turn(rows: int, was: str, now: str) -> str:
    return (
        f"{numbers.word(rows)} that {'was' if rows == 1 else 'were'} {was} "
        f"{'turns' if rows == 1 else 'turn'} {now}"
    )


def _at_most(rows: int) -> str:
    """The exact 95 % upper bound of a share of which none of n rows was seen: 1 − 0.05^(1/n)."""
    return numbers.fixed(100 * (1 - 0.05 ** (1 / max(1, rows))), 1)


def mistakes(receipt: Json) -> str:
    """Return which of the teacher's mistakes came along."""
    found, rows = receipt["evidence"]["mistakes"], receipt["data"]["rows"]["test"]
    if undecided := _no_decision(receipt):
        return f"Not asked: {undecided}, so that no answer is simply a mistake."
    if not found["teacher_wrong"]:
        return (
            f"The teacher made none on the test rows: 0 of {rows:,}, at most "
            f"{_at_most(rows)}{NBSP}% of such rows."
        )
    own = found["by_arm"]["student"]
    return (
        f"Of the teacher’s {numbers.count(found['teacher_wrong'], 'mistake')} the student "
        f"copied {numbers.word(own['copied'])}, "
        f"corrected {numbers.word(own['corrected'])} and made {numbers.word(own['other'])} "
        "in another way."
    )


def classes(receipt: Json) -> str:
    """Return the commonest confusion and the weakest class."""
    evidence = receipt["evidence"]
    if evidence.get("errors"):
        return _errors(receipt)
    if evidence.get("several"):
        return several.sentence(receipt) + label_points.sentence(receipt)
    measured = [c for c in evidence["per_class"] if c["student"]]
    if not measured:
        return "Not measured: no test row has a class."
    weakest = min(measured, key=lambda c: (c["student"][1], c["name"]))
    found = (
        f"{numbers.percent(weakest['student'][1])}{NBSP}% of the time "
        f"{numbers.spread(weakest['student'])}"
    )
    share = f"The weakest class, {_name(weakest['name'])}, is found {found}.{sentence(receipt)}"
    if not evidence["confusions"]:
        return f"Nowhere on the test rows. {share}"
    top = evidence["confusions"][0]
    names = evidence["classes"]
    return (
        f"Most often {_name(names[top['truth']])} is taken for {_name(names[top['answer']])}, in "
        f"{numbers.count(top['rows'], 'row')}. {share}"
    )


def _errors(receipt: Json) -> str:
    """Return how far off the student is, and on which side."""
    own = next(row for row in receipt["evidence"]["errors"] if row["name"] == "student")
    read = reading(receipt)
    unit = f"{NBSP}{numbers.plain(read.of.unit, 24)}" if read.of.unit else ""
    low, _, middle, _, high = (read.signed(v) for v in own["error_quantiles"])
    return (
        f"By {read.number(own['rmse'][1])}{unit} (RMSE) {read.spread(own['rmse'])}; it explains "
        f"{numbers.percent(own['r2'][1])}{NBSP}% of the variance. Half of its errors lie below "
        f"{middle}{unit}, nine of ten between {low} and {high}."
    )


def _no_decision(receipt: Json) -> str:
    """Return why no answer is right or wrong; empty where each is."""
    task = TASKS[receipt["evidence"].get("task", "classification")]
    return "" if task.right_or_wrong else task.why_no_decision


def _name(text: str) -> str:
    """A class name in a sentence, isolated so that its direction cannot leak out (U+2068 …
    U+2069).
    """
    return f"\u2068{numbers.plain(text, 20)}\u2069"


def withstands(receipt: Json) -> str:
    """Return the worst attack and the worst corruption, each with its bound."""
    if undecided := _no_decision(receipt):
        return f"{_pushed(receipt, undecided)} {_missed(receipt)}"
    parts = [
        _stopped(one) for one in receipt["evidence"]["robustness"].get("probes", []) if one["fails"]
    ]
    if parts:
        return " ".join(parts)
    if receipt["robustness"]:
        label, worst = min(receipt["robustness"].items(), key=lambda entry: (entry[1][1], entry[0]))
        parts.append(
            f"Under {attack(receipt, label)} at most {numbers.percent(worst[1])}{NBSP}% of "
            f"answers stay right {numbers.spread(worst)}."
        )
    else:
        parts.append("Not measured: no attack is set in params.yaml.")
    parts += plain(receipt)
    means = {
        name: sum(i[1] for i in by.values()) / len(by) for name, by in receipt["corruption"].items()
    }
    if means:
        name = min(sorted(means), key=lambda n: means[n])
        parts.append(
            f"Of the corruptions, {corruption(name)} costs most: "
            f"{numbers.percent(means[name])}{NBSP}% on average over its severities."
        )
    else:
        parts.append("Corruptions were not measured.")
    return " ".join(parts)


def _pushed(receipt: Json, undecided: str) -> str:
    """Return how many answers stay within the tolerance under the worst attack."""
    found = receipt["evidence"]["robustness"].get("pushed") or []
    if not found:
        return f"Attacks were not made: {undecided}, and no tolerance says how far off is too far."
    worst = min(found, key=lambda one: (one["within"][1], one["label"]))
    return (
        f"Under {attack_of(worst)} at most {numbers.percent(worst['within'][1])}{NBSP}% of answers "
        f"stay within {worst['tolerance']:g} {numbers.spread(worst['within'])}."
    )


def _missed(receipt: Json) -> str:
    """Return by how much a quantity is told worse under the corruption that costs most."""
    found = [one for one in receipt["evidence"]["robustness"]["corruptions"] if one.get("relative")]
    if not found:
        return "Corruptions were not measured."
    worst = max(found, key=lambda one: (one["mae"][1], one["name"]))
    return (
        f"Of the corruptions, {corruption(worst['name'])} costs most: its error is "
        f"{worst['relative']:.2f} times that of the rows as they are, on average over its "
        "severities."
    )


def _stopped(probe: Json) -> str:
    """Return what was seen before the suite was found not to be worth its time."""
    norm = numbers.plain(str(probe["norm"]), 8)
    return (
        f"Not started: after {probe['seen']:,} of {probe['rows']:,} rows cheap attacks ({norm} "
        f"{probe['epsilon']:g}) had left {probe['right']:,} right, which settles that the bound of "
        f"{numbers.percent(probe['bound'])}{NBSP}% is not reached on all of them (foreseen "
        f"wrongly in at most {numbers.percent(probe['delta'], 0)}{NBSP}% of such runs)."
    )


def device(receipt: Json) -> str:
    """Return size and latency, and what int8 changes."""
    edge = receipt["edge"]
    first = (
        f"{numbers.kilobytes(edge['onnx_bytes'])}{NBSP}kB, and half of the calls take at most "
        f"{numbers.milliseconds(edge['latency_ms_p50'])}{NBSP}ms."
    )
    if edge["int8_bytes"] is None:
        why = str(edge.get("int8_reason") or "this model cannot be quantised here.")
        return f"{first} There is no int8 form: {numbers.plain(why, 160)}"
    change = "smaller" if edge["int8_bytes"] < edge["onnx_bytes"] else "larger"
    agrees = (
        ""
        if edge["int8_agreement"] is None
        else f" and agrees on {numbers.percent(edge['int8_agreement'])}{NBSP}% of rows"
    )
    slow = ""
    int8 = receipt["evidence"]["latency"].get("int8")
    if int8:
        slow = f"; it is {'slower' if int8['p50_ms'] > edge['latency_ms_p50'] else 'not slower'}"
    return (
        f"{first} As int8 it has {numbers.kilobytes(edge['int8_bytes'])}{NBSP}kB "
        f"({change}){agrees}{slow}."
    )


def search(receipt: Json) -> str:
    """Return which trial was chosen."""
    study = receipt["evidence"]["trials"].get("student") or {"best": None, "trials": []}
    if study["best"] is None:
        return "Not measured: nothing was left open in params.yaml, so nothing was searched."
    dropped = sum(trial["state"] == "pruned" for trial in study["trials"])
    early = f" {numbers.word(dropped).capitalize()} were dropped on the way." if dropped else ""
    return (
        f"Trial {study['best']} of {len(study['trials'])} (counted from 0), judged on the "
        f"validation rows only; the test rows were not read.{early}"
    )


def data(receipt: Json) -> str:
    """Return whether the data passed its checks."""
    found = receipt["evidence"]["checks"]
    if not found:
        return "Not measured: no expectation was checked."
    failed = len(found) - 1
    if failed:
        return (
            f"With reservations: {numbers.word(failed)} "
            f"{'expectation' if failed == 1 else 'expectations'} failed, none of them critical."
        )
    return f"Yes: every expectation was met, {found[0]['detail'].removesuffix(' met')}."


def drift(receipt: Json) -> str:
    """Return whether today's rows are still like the champion's."""
    found = receipt["evidence"].get("drift")
    if found is None and receipt["evidence"]["champion"]:
        return f"Not measured: {words.version(receipt)} left no statistics of its rows."
    if found is None:
        return "Nothing to compare with yet: no version is in production."
    changed = found["drifted"] + len(found["gone"]) + len(found["new"])
    total = found["features"] + len(found["gone"]) + len(found["new"])
    rows = f"{found['rows'][1]:,} train rows against {found['rows'][0]:,}"
    if not changed:
        return f"Yes: none of {numbers.count(total, 'feature')} has moved much ({rows})."
    top = found["most"][0]
    most = (
        f", most of all {_name(top['name'])} ({numbers.plain(top['where'], 80)})"
        if top["drifted"]
        else ""
    )
    return f"No: {changed} of {numbers.count(total, 'feature')} moved{most} ({rows})."


def cost(receipt: Json) -> str:
    """Return seconds and price."""
    spent = receipt["cost"]
    first = f"{numbers.fixed(spent['seconds'], 1)}{NBSP}seconds of work from nothing"
    price = f" and ${numbers.fixed(spent['usd'], 4)}" if spent["usd"] else ""
    gain = next(
        (g for g in receipt["teacher_gain"] if g["over"] == "none" and g["interval"][0] > 0), None
    )
    gain = gain if reading(receipt).of.more_is_better else None
    each = (
        f", {numbers.fixed(spent['seconds'] / (100 * gain['estimate']), 1)}{NBSP}seconds for "
        "each point gained over labels alone"
        if gain
        else ""
    )
    unpriced = "" if spent["usd"] else " No price of an hour is set (report.usd_per_hour)."
    return f"{first}{price}{each}.{unpriced}"


def heading(receipt: Json) -> str:
    """Return the question of the section on flips."""
    champion = words.version(receipt)
    return f"What changes for users of {champion}?" if champion else "What changes for users?"
