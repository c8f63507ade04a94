"""Two classes, one of which is looked for: how well each model ranks rows, and what it finds,
spares and wrongly calls at the threshold that val chose.
"""

import numpy as np

from stillhouse.evaluation import operating, ranking
from stillhouse.evaluation.intervals import proportion
from stillhouse.evaluation.tasks import Classification
from stillhouse.receipt import numbers
from stillhouse.receipt.numbers import NBSP
from stillhouse.receipt.outcomes import CONTROLS, Json, Outcomes

COLUMNS = (
    ("auc", "AUC", "area under the ROC curve, DeLong"),
    ("sensitivity", "Sensitivity", "of those that are, called"),
    ("specificity", "Specificity", "of those that are not, spared"),
    ("precision", "Precision", "of those called, that are"),
)


def two_classes(found: Outcomes) -> Json | None:
    """Return what every model comes to, [low, estimate, high] each; None where there are not two
    classes.
    """
    point, task = found.verdict.get("operating_point"), found.task
    if point is None or not isinstance(task, Classification):
        return None
    models = {"teacher": found.teacher_logits, "student": found.logits}
    models |= {arm: found.of(arm, found.seeds(arm)[0]) for arm in CONTROLS if found.seeds(arm)}
    if found.champion_logits is not None:
        models["champion"] = found.champion_logits
    targets = found.targets[found.known]
    rows = [
        _model(who, *task.ranked(logits[found.known], targets), point["thresholds"][who])
        for who, logits in models.items()
    ]
    return {
        "positive": point["positive"],
        "criterion": found.student["operating_point"]["criterion"],
        "rows": int((np.asarray(targets) == task.positive).sum()),
        "models": rows,
    }


def _model(who: str, scores: ranking.Floats, positive: ranking.Bools, threshold: float) -> Json:
    at = operating.at(threshold, scores, positive)
    called = at.found + at.negatives - at.spared
    shares = {
        "sensitivity": (at.found, at.positives),
        "specificity": (at.spared, at.negatives),
        "precision": (at.found, called),
    }
    enough = min(at.positives, at.negatives) > 1
    return {
        "name": who,
        "threshold": threshold,
        "auc": list(ranking.interval(scores, positive)) if enough else None,
        **{name: list(proportion(k, n)) if n else None for name, (k, n) in shares.items()},
    }


def sentence(receipt: Json) -> str:
    """Return what the student comes to, in words; empty where there are not two classes."""
    told = receipt["evidence"].get("two_classes")
    if not told:
        return ""
    own = next(row for row in told["models"] if row["name"] == "student")
    name = f"\u2068{numbers.plain(told['positive'], 20)}\u2069"
    parts = [
        f"it {verb} {numbers.percent(own[key][1])}{NBSP}% {numbers.spread(own[key])} {of}"
        for key, verb, of in (
            ("sensitivity", "finds", f"of {name}"),
            ("specificity", "spares", "of the others"),
        )
        if own[key]
    ]
    right = own["precision"]
    last = (
        f"; of those that it calls {name}, {numbers.percent(right[1])}{NBSP}% "
        f"{numbers.spread(right)} are"
        if right
        else f"; it calls no test row {name}"
    )
    return (
        f" From a probability of {own['threshold']:.3g} on, chosen on the validation rows "
        f"({criterion(told['criterion'])}), {' and '.join(parts)}{last}."
    )


def criterion(told: object) -> str:
    """Return how a threshold was chosen, in words."""
    if isinstance(told, dict):
        (name, value), *_ = told.items()
        return f"{name} at least {value:g}" if name != "value" else "as set"
    return "largest sensitivity + specificity"
