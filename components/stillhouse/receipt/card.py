"""The model card that is registered beside a version: short, and every number from the receipt."""

from stillhouse.receipt import numbers, words
from stillhouse.receipt.outcomes import Json
from stillhouse.receipt.reading import reading
from stillhouse.receipt.ruled import Ruled, ruled

CLASSES = 20  # names on a card
_MARKDOWN = str.maketrans({c: "\\" + c for c in "\\`*_{}[]()#+!|<>&~"} | {"\n": " "})


def card(receipt: Json) -> str:
    """Return the card, Markdown; names from the data are escaped, so that they stay text."""
    told = words.headline(receipt)
    unsaid = [line.text for line in told.lines] if told.key == "promote" else []
    parts = [
        (
            f"# {_safe(receipt['model'])}, {words.name(receipt)}",
            [f"**{told.word}.** {_safe(told.lead)}"],
        ),
        ("## What it is", _listed(_what(receipt))),
        ("## How well it does", _listed(_how(receipt))),
        ("## Rules", _listed([_rule(rule) for rule in ruled(receipt)])),
        (
            "## What this does not say",
            _listed(
                [
                    *unsaid,
                    "Numbers hold for rows like the test rows, and attacks for the settings "
                    "that were tried.",
                ]
            ),
        ),
        ("## Where it comes from", [_origin(receipt)]),
    ]
    return "\n\n".join("\n\n".join([title, "\n".join(lines)]) for title, lines in parts) + "\n"


def _what(receipt: Json) -> list[str]:
    rows, edge, names = receipt["data"]["rows"], receipt["edge"], receipt["evidence"]["classes"]
    labels = receipt["evidence"].get("labels") or []
    student = receipt["student"]
    latency = (
        f"p95 {numbers.milliseconds(edge['latency_ms_p95'])} ms for one row on one thread of the "
        "machine that made it"
    )
    return [
        f"A student ({student['name']}, {numbers.count(student['parameters'], 'parameter')}) "
        f"of the teacher {receipt['teacher']['name']}.",
        f"Trained on {numbers.count(rows['labelled'], 'row')} with and "
        f"{numbers.count(rows['unlabelled'], 'row')} without a label.",
        _named("Labels, several a row" if labels else "Classes", labels or names)
        if labels or names
        else _quantity(receipt["evidence"]["quantity"]),
        f"{numbers.kilobytes(edge['onnx_bytes'])} kB as ONNX; {latency}.",
    ]


def _named(what: str, names: list[str]) -> str:
    more = " …" if len(names) > CLASSES else ""
    return f"{what}: {', '.join(numbers.plain(name, 24) for name in names[:CLASSES])}{more}."


def _quantity(told: Json) -> str:
    unit = f", {numbers.plain(told['unit'], 24)}" if told["unit"] else ""
    what = ", ".join(f"{level:g}" for level in told["quantiles"])
    answer = f"the quantiles {what}" if what else "the mean"
    return f"It tells {answer} of {numbers.plain(told['name'], 40)}{unit}."


def _how(receipt: Json) -> list[str]:
    read = reading(receipt)
    interval = receipt["student"][read.key]
    attacks = sorted(receipt["robustness"].items())
    return [
        f"{read.of.label} {read.number(interval[1])} {read.of.unit} {read.spread(interval)} on "
        f"{numbers.count(receipt['data']['rows']['test'], 'test row')}.",
        *(gain["sentence"] for gain in receipt["teacher_gain"]),
        *(
            f"Under {numbers.plain(label, 60)} at most {numbers.percent(i[1])} % "
            f"{numbers.spread(i)}."
            for label, i in attacks
        ),
    ]


def _rule(rule: Ruled) -> str:
    watched = "" if rule.gates else " (watched)"
    if not rule.observed:
        return f"{rule.verdict.replace('_', ' ')}: {rule.label}, {rule.note}{watched}"
    return (
        f"{rule.verdict}: {rule.label} {rule.required}, observed {rule.observed} "
        f"{rule.interval}{watched}"
    )


def _origin(receipt: Json) -> str:
    lineage = receipt["lineage"]
    return (
        f"Data {receipt['data']['fingerprint'][:12]}, teacher {lineage['teacher'][:12]}, git "
        f"{lineage['git'][:12]}; the whole account is receipt.html."
    )


def _listed(lines: list[str]) -> list[str]:
    return [f"- {_safe(line)}" for line in lines]


def _safe(text: str) -> str:
    return numbers.plain(text, 900).translate(_MARKDOWN)
