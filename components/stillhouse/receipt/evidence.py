"""What the page draws, from stored outcomes: classes, confusions, calibration, curves, searches,
clocks. Pure functions; every one ends in JSON.
"""

import math
from dataclasses import asdict

import torch
from torch import Tensor

from stillhouse.distillation.settings import Settings
from stillhouse.evaluation import evaluate, metrics
from stillhouse.evaluation.intervals import proportion
from stillhouse.receipt.arms import differences, exact
from stillhouse.receipt.flips import flips_drawn, mistakes_drawn
from stillhouse.receipt.grouped import grouped
from stillhouse.receipt.label_points import label_points
from stillhouse.receipt.outcomes import CONTROLS, Json, Outcomes
from stillhouse.receipt.trust import trusted
from stillhouse.receipt.two_classes import two_classes

MATRIX = 12  # classes; more do not fit a page, and become a list
COMMONEST = 15
MOVED = 12
POINTS = 80  # of a learning curve; more cannot be told apart on 500 px


def evidence(found: Outcomes, *, written_at: str, show_rows: bool) -> Json:
    """Return the receipt's `evidence`; what was not measured is null or empty, never a zero.

    Args:
        found: The outcomes.
        written_at: ISO time, for people.
        show_rows: Whether rows that are pictures may be shown.
    """
    return {
        "written_at": written_at,
        "source": found.data.get("source"),
        "warnings": list(found.data.get("warnings", [])),
        "task": found.task.name,
        "hard": found.task.hard,
        "measure": asdict(found.task.measure),
        "quantity": None if found.schema.quantity is None else asdict(found.schema.quantity),
        "classes": list(found.schema.classes),
        "labels": list(found.schema.labels),
        "alpha": found.verdict.get("alpha"),
        "life": found.verdict.get("life"),
        "frozen": found.verdict.get("rows"),
        "champion": None
        if found.champion is None
        else {"version": found.champion["version"], "head": found.champion.get("head")},
        "arms": [{key: entry.get(key) for key in ("name", "steps")} for entry in found.arms],
        "differences": differences(found),
        "curves": curves(found),
        "flips": flips_drawn(found, show_rows=show_rows) if found.task.right_or_wrong else None,
        "mistakes": mistakes_drawn(found, show_rows=show_rows)
        if found.task.right_or_wrong
        else NO_MISTAKES,
        **(decided(found) if found.task.decides else NOTHING_DECIDED),
        "two_classes": two_classes(found),
        "label_points": label_points(found),
        "trust": trusted(found, show_rows=show_rows),
        "errors": None if found.task.right_or_wrong else model_table(found),
        "several": model_table(found) if found.schema.labels else None,
        "robustness": robust(found),
        "latency": found.latency,
        "trials": trials(found.studies),
        "checks": checks(found),
        "drift": drift(found),
        "groups": grouped(found),
    }


def decided(found: Outcomes) -> Json:
    """Return what can be told of models that decide for a class."""
    return {
        "per_class": per_class(found),
        "confusion": confusion(found),
        "confusions": confusions(found),
        "reliability": reliability(found),
    }


# Of a quantity and of labels there is none of this, and every section says so.
NOTHING_DECIDED: Json = {"per_class": [], "confusion": None, "confusions": [], "reliability": {}}
NO_MISTAKES: Json = {"teacher_wrong": 0, "by_arm": {}, "copied": [], "corrected": []}


def model_table(found: Outcomes) -> list[Json]:
    """Return every metric of teacher, student and the controls' seed 0, [low, estimate, high] each:
    where a quantity or several labels are told, this stands in the place of classes.
    """
    models = {"teacher": found.teacher_logits, "student": found.logits}
    models |= {arm: found.of(arm, found.seeds(arm)[0]) for arm in CONTROLS if found.seeds(arm)}
    return [
        {"name": who, **found.task.report(told, found.targets, found.schema)}
        for who, told in models.items()
    ]


def per_class(found: Outcomes) -> list[Json]:
    """Return how often each class is found: student with its exact interval, teacher, control none,
    and the flips; null without rows.
    """
    truth = found.targets[found.known]
    right = {"student": found.right(found.logits), "teacher": found.right(found.teacher_logits)}
    for arm in CONTROLS[:1]:
        if found.seeds(arm):
            right[arm] = found.right(found.of(arm, found.seeds(arm)[0]))
    before = (
        None
        if found.champion_logits is None or found.champion is None
        else found.right(found.champion_logits)
    )
    table = []
    for code, name in enumerate(found.schema.classes):
        own = truth == code
        table.append(
            {
                "name": name,
                "rows": int(own.sum()),
                "student": exact(right["student"][own]) if own.any() else None,
                "teacher": _share(right["teacher"], own),
                "none": _share(right.get("none"), own),
                "negative": None
                if before is None
                else int((own & before & ~right["student"]).sum()),
                "positive": None
                if before is None
                else int((own & ~before & right["student"]).sum()),
            }
        )
    return table


def _share(right: Tensor | None, own: Tensor) -> float | None:
    return None if right is None or not own.any() else float(right[own].double().mean())


def confusion(found: Outcomes) -> list[list[int]] | None:
    """Return [C][C] counts, truth by answer; None beyond 12 classes."""
    if len(found.schema.classes) > MATRIX:
        return None
    table: list[list[int]] = metrics.confusion(
        found.logits[found.known], found.targets[found.known]
    ).tolist()
    return table


def confusions(found: Outcomes) -> list[Json]:
    """Return the 15 commonest errors, largest first, then by class."""
    truth, answer = found.targets[found.known], found.logits[found.known].argmax(1)
    wrong = torch.stack([truth, answer], dim=1)[truth != answer]
    if not len(wrong):
        return []
    pairs, counts = torch.unique(wrong, dim=0, return_counts=True)
    ordered = sorted(
        zip(counts.tolist(), pairs.tolist(), strict=True), key=lambda entry: (-entry[0], entry[1])
    )
    return [
        {"truth": pair[0], "answer": pair[1], "rows": rows} for rows, pair in ordered[:COMMONEST]
    ]


def reliability(found: Outcomes) -> Json:
    """Return ECE with its interval, the teacher's and the control's, and the bins that hold rows,
    each with an exact interval.
    """
    logits, truth = found.logits[found.known], found.targets[found.known]
    bins = []
    for part in metrics.reliability(logits, truth):
        if part.rows:
            accuracy = list(proportion(round(part.accuracy * part.rows), part.rows))
            bins.append(
                {
                    "low": part.low,
                    "high": part.high,
                    "rows": part.rows,
                    "confidence": part.confidence,
                    "accuracy": accuracy,
                }
            )
    control = found.of("none", found.seeds("none")[0]) if found.seeds("none") else None
    return {
        "ece": list(evaluate.intervals(logits.double(), truth)["ece"]),
        "teacher": metrics.ece(found.teacher_logits[found.known], truth),
        "none": None if control is None else metrics.ece(control[found.known], truth),
        "bins": bins,
    }


def curves(found: Outcomes) -> Json:
    """Return each arm's mean validation accuracy (R² of a quantity) by epoch, thinned to at most 80
    points.

    An epoch is one walk through all picked rows, for every arm alike: an arm with fewer rows takes
    as many steps, so its curve is as long.
    """
    drawn = {}
    for arm, by_seed in found.curves.items():
        key = f"val_{found.task.score}"
        series = [one[key] for one in by_seed.values()]
        length = min((len(one) for one in series), default=0)
        if length < 2:
            continue
        at = sorted(
            {
                round(i * (length - 1) / min(POINTS - 1, length - 1))
                for i in range(min(POINTS, length))
            }
        )
        steps, per_epoch = next(iter(by_seed.values()))["step"], _steps_per_epoch(found, arm)
        epochs = [steps[i] / per_epoch for i in at]
        drawn[arm] = {
            "epochs": epochs,
            key: [sum(one[i] for one in series) / len(series) for i in at],
            "seeds": len(series),
        }
    return drawn


def _steps_per_epoch(found: Outcomes, arm: str) -> int:
    batch: int = next(
        entry["settings"].get("batch", Settings.batch)
        for entry in found.arms
        if entry["name"] == arm
    )
    picked: int = found.data["rows"]["labelled"] + found.data["rows"]["unlabelled"]
    return math.ceil(picked / batch)


def robust(found: Outcomes) -> Json:
    """Return what was measured of attacks and corruptions, with the settings and what could not be
    measured.
    """
    stored = found.robustness
    return {
        "rows": len(found.right_under["clean"]) if "clean" in found.right_under else None,
        "attacks": list(stored.get("attacks") or []),
        "curves": stored.get("curves") or [],
        "transfer": stored.get("transfer"),
        "beside": stored.get("beside") or {},
        "corruptions": list(stored.get("corruptions") or []),
        "probes": list(stored.get("probes") or []),
        "not_measured": list(stored.get("not_measured") or []),
        "pushed": list(stored.get("pushed") or []),
        "masking": list(stored.get("masking") or []),
        "certified": stored.get("certified"),
    }


def attack_accuracy(found: Outcomes) -> dict[str, list[float]]:
    """Return attack label → [low, estimate, high] of the rows that stay right, exact."""
    return {
        name.removeprefix("attack/"): exact(found.of_known(right))
        for name, right in sorted(found.right_under.items())
        if name.startswith("attack/")
    }


def corruption_accuracy(found: Outcomes) -> dict[str, dict[str, list[float]]]:
    """Return corruption → severity → [low, estimate, high] of the rows that stay right, exact."""
    table: dict[str, dict[str, list[float]]] = {}
    for name, right in sorted(found.right_under.items()):
        kind, _, rest = name.partition("/")
        if kind == "corruption":
            corruption, _, severity = rest.rpartition("/")
            table.setdefault(corruption, {})[severity] = exact(found.of_known(right))
    return table


def trials(studies: Json) -> Json:
    """Return each arm's search: the trial that was chosen and what every trial reached."""
    kept = ("number", "state", "values", "params")
    return {
        arm: {
            "best": study.get("best"),
            "objectives": list(study.get("objectives") or ["val/accuracy"]),
            **({"engine": study["engine"]} if "engine" in study else {}),
            "trials": [
                {k: t.get(k) for k in kept} | ({"at": t["at"]} if "at" in t else {})
                for t in study.get("trials", [])
            ],
        }
        for arm, study in studies.items()
    }


def checks(found: Outcomes) -> list[Json]:
    """Return one line an expectation that failed, and one for all that were met."""
    expectations = found.validation.get("expectations") or []
    lines = []
    for one in (e for e in expectations if not e["passed"]):
        where = ", ".join(str(one[key]) for key in ("split", "column", "arguments") if one.get(key))
        lines.append(
            {
                "name": str(one["expectation"]),
                "verdict": "fail",
                "detail": f"{where}: {one['observed']}",
                "severity": one.get("severity"),
                "rows": list(one.get("rows") or [])[:COMMONEST],
            }
        )
    met = sum(bool(e["passed"]) for e in expectations)
    summary: Json = {
        "name": "Expectations",
        "verdict": "pass" if met == len(expectations) else "fail",
        "detail": f"{met} of {len(expectations)} met",
        "severity": None,
        "rows": [],
    }
    return [summary, *lines] if expectations else []


def drift(found: Outcomes) -> Json | None:
    """Return how today's train rows differ from the champion's, the 12 features that moved most;
    None where it was not measured.
    """
    stored = found.verdict.get("drift")
    if stored is None:
        return None
    kept = ("name", "psi", "p", "drifted", "where")
    return {
        "against": stored["against"],
        "rows": list(stored["rows"]),
        "features": len(stored["features"]),
        "drifted": sum(bool(one["drifted"]) for one in stored["features"]),
        "gone": list(stored["gone"]),
        "new": list(stored["new"]),
        "share": stored["share"],
        "most": [{key: one[key] for key in kept} for one in stored["features"][:MOVED]],
    }
