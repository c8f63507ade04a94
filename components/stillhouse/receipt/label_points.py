"""Several labels a row, given from thresholds on that val chose: what every model comes to there,
and what the student finds, spares and wrongly gives of each label.
"""

from stillhouse.evaluation import labels, operating
from stillhouse.evaluation.intervals import proportion
from stillhouse.evaluation.label_points import FEWEST, called
from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import CONTROLS, Json, Outcomes
from stillhouse.receipt.two_classes import criterion

METRICS = (
    ("exact_match", "Exact match, %", "rows with every label right"),
    ("hamming_loss", "Wrong labels, %", "Hamming loss; less is better"),
    ("micro_f1", "F1, micro", "over all labels at once"),
    ("macro_f1", "F1, macro", "the mean of the labels"),
)
NAMED = 3  # labels that keep one half, in the sentence


def label_points(found: Outcomes) -> Json | None:
    """Return the metrics of decisions by model, and of the student each label, [low, estimate,
    high]; None where every label is given from one half on.
    """
    points = found.verdict.get("label_points")
    if not points:
        return None
    chosen, truth = found.student["label_points"], found.targets[found.known]
    models = {"teacher": found.teacher_logits, "student": found.logits}
    models |= {arm: found.of(arm, found.seeds(arm)[0]) for arm in CONTROLS if found.seeds(arm)}
    if found.champion_logits is not None:
        models["champion"] = found.champion_logits
    said = {who: called(told[found.known], points[who]) for who, told in models.items()}
    return {
        "criterion": chosen["criterion"],
        "kept": chosen["kept"],
        "fewest": FEWEST,
        "models": [
            {"name": who, **_listed(labels.decision_intervals(each, truth))}
            for who, each in said.items()
        ],
        "labels": _by_label(found, points["student"]),
    }


def _listed(intervals: dict[str, tuple[float, float, float]]) -> Json:
    return {name: list(interval) for name, interval in intervals.items()}


def _by_label(found: Outcomes, thresholds: list[float]) -> list[Json]:
    truth, chances = found.targets[found.known], found.logits[found.known].double().sigmoid()
    table = []
    for at, (name, threshold) in enumerate(zip(found.schema.labels, thresholds, strict=True)):
        there = ~truth[:, at].isnan()
        positive = (truth[there, at] == 1).numpy()
        point = operating.at(threshold, chances[there, at].numpy(), positive)
        shares = {
            "sensitivity": (point.found, point.positives),
            "specificity": (point.spared, point.negatives),
            "precision": (point.found, point.found + point.negatives - point.spared),
        }
        own = {key: list(proportion(k, n)) if n else None for key, (k, n) in shares.items()}
        table.append({"name": name, "threshold": threshold, "positive": point.positives, **own})
    return table


def sentence(receipt: Json) -> str:
    """Return what the student comes to at its thresholds, and which labels have none of their own;
    empty where every label is given from one half on.
    """
    told = receipt["evidence"].get("label_points")
    if not told:
        return ""
    own = next(row for row in told["models"] if row["name"] == "student")
    first = (
        f" With a threshold for each label, chosen on the validation rows "
        f"({criterion(told['criterion'])}), every label is right in "
        f"{numbers.percent(own['exact_match'][1])}{NBSP}% of rows "
        f"{numbers.spread(own['exact_match'])}, and {numbers.percent(own['hamming_loss'][1])}"
        f"{NBSP}% of single labels are wrong."
    )
    return first + _kept(told)


def _kept(told: Json) -> str:
    if not told["kept"]:
        return ""
    shown = [f"\u2068{numbers.plain(name, 20)}\u2069" for name in told["kept"][:NAMED]]
    more = len(told["kept"]) - len(shown)
    names = numbers.listed([*shown, f"{more} more"] if more else shown)
    verb = "keeps" if len(told["kept"]) == 1 else "keep"
    return (
        f" {names} {verb} one half: fewer than {told['fewest']} validation rows have "
        f"{'it' if len(told['kept']) == 1 else 'each'}, or have not."
    )
