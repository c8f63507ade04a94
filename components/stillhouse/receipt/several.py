"""Several labels a row, as the page tells them: the weakest in a sentence, and all in a table."""

from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import Json

METRICS = (
    ("exact_match", "Exact match, %", "rows with every label right"),
    ("hamming_loss", "Wrong labels, %", "Hamming loss; less is better"),
    ("micro_f1", "F1, micro", "over all labels at once"),
    ("macro_f1", "F1, macro", "the mean of the labels"),
    ("map", "mAP", "mean average precision of the labels"),
    ("macro_auc", "AUC", "the mean of the labels"),
)
MOST = 40  # labels in the table; of more the weakest


def sentence(receipt: Json) -> str:
    """Return how many single labels are wrong, and which label is the weakest."""
    own = _of(receipt, "student")
    rows = (
        f"In {numbers.percent(own['exact_match'][1])}{NBSP}% of rows every label is right, and "
        f"{numbers.percent(own['hamming_loss'][1])}{NBSP}% of single labels are wrong."
    )
    seen = [label for label in own["per_label"] if label["f1"] is not None]
    if not seen:
        return f"{rows} No test row has a label."
    weakest = min(seen, key=lambda label: (label["f1"], label["name"]))
    return (
        f"{rows} The weakest label, \u2068{numbers.plain(weakest['name'], 20)}\u2069, has an F1 of "
        f"{numbers.fixed(weakest['f1'], 2)}: of {numbers.count(weakest['positive'], 'row')} that "
        f"have it {numbers.percent(weakest['found'][1])}{NBSP}% "
        f"{numbers.spread(weakest['found'])} are found."
    )


def table(receipt: Json) -> Json | None:
    """Return what the page draws: metrics by model, and labels, the weakest first; None where rows
    have no several labels.
    """
    models = receipt["evidence"].get("several")
    if not models:
        return None
    own = _of(receipt, "student")
    others = {
        model["name"]: {label["name"]: label["f1"] for label in model["per_label"]}
        for model in models
        if model["name"] != "student"
    }
    labels = sorted(
        own["per_label"], key=lambda label: (label["f1"] is None, label["f1"] or 0.0, label["name"])
    )
    return {
        "models": models,
        "metrics": [metric for metric in METRICS if metric[0] in own],
        "others": list(others),
        "labels": [
            {**label, "of": [others[who][label["name"]] for who in others]}
            for label in labels[:MOST]
        ],
        "all": len(labels),
        "points": _points(receipt, [label["name"] for label in labels[:MOST]]),
    }


def _points(receipt: Json, names: list[str]) -> Json | None:
    """Return the thresholds of the labels that are shown, in that order."""
    told = receipt["evidence"].get("label_points")
    if not told:
        return None
    by_name = {label["name"]: label for label in told["labels"]}
    kept = set(told["kept"])
    return {**told, "labels": [{**by_name[name], "kept": name in kept} for name in names]}


def _of(receipt: Json, who: str) -> Json:
    found: Json = next(row for row in receipt["evidence"]["several"] if row["name"] == who)
    return found
