"""The receipt itself: one mapping, schema 1, every number of it recomputed from stored outcomes."""

from collections.abc import Mapping
from typing import Any

from stillhouse.receipt.advice import advice
from stillhouse.receipt.arms import arms, teacher_gain, teacher_knows
from stillhouse.receipt.evidence import attack_accuracy, corruption_accuracy, evidence
from stillhouse.receipt.flips import flips, mistakes
from stillhouse.receipt.outcomes import Json, Outcomes

RULE_KEYS = (
    "name",
    "verdict",
    "gates",
    "observed",
    "bound",
    "direction",
    "unit",
    "interval",
    "rows_used",
    "rows_total",
    "rows_needed",
    "power",
)


def compose(
    found: Outcomes,
    *,
    lineage: Json,
    files: Mapping[str, str],
    settings: Mapping[str, Any],
    written_at: str,
    usd_per_hour: float,
    show_rows: bool,
) -> Json:
    """Return the receipt.

    Args:
        found: The outcomes.
        lineage: git, dvc_lock, code, versions; what the outcomes know is added here.
        files: `step/file` → sha256 of what the receipt speaks of.
        settings: The resolved params.
        written_at: ISO time, for people.
        usd_per_hour: Price of an hour of work, USD.
        show_rows: Whether rows that are pictures may be shown.
    """
    gains, knows = teacher_gain(found), teacher_knows(found)
    return {
        "schema": 1,
        "model": found.model,
        "verdict": found.verdict["verdict"],
        "data": {
            "fingerprint": found.data["fingerprint"],
            "rows": {
                k: found.data["rows"][k] for k in ("train", "val", "test", "labelled", "unlabelled")
            },
        },
        "teacher": teacher(found),
        "student": student(found),
        "arms": arms(found),
        "teacher_gain": gains,
        "teacher_advice": advice(
            gains,
            knows=knows,
            measure=found.task.measure,
            seconds=found.seconds,
            training=found.training,
        ),
        "teacher_knows": knows,
        "transfer": found.transfer,
        "flips": flips(found),
        "mistakes": mistakes(found),
        "robustness": attack_accuracy(found),
        "corruption": corruption_accuracy(found),
        "edge": edge(found),
        "rules": rules(found.verdict),
        "evidence": evidence(found, written_at=written_at, show_rows=show_rows),
        "cost": cost(found.seconds, usd_per_hour),
        "settings": dict(settings),
        "lineage": {
            **lineage,
            "teacher": found.teacher["fingerprint"],
            "knowledge": found.knowledge["fingerprint"],
            "trial": trial(found),
        },
        "files": dict(sorted(files.items())),
    }


def teacher(found: Outcomes) -> Json:
    """Return name, parameters and test accuracy (or error) of the teacher."""
    return {
        "name": found.teacher["name"],
        "parameters": found.teacher["parameters"],
        f"test_{found.task.measure.key}": found.measured(found.teacher_logits),
    }


def student(found: Outcomes) -> Json:
    """Return the same of the student that ships (what its ONNX answers), with its size and work."""
    return {
        "name": found.student["architecture"]["name"],
        "parameters": found.student["parameters"],
        f"test_{found.task.measure.key}": found.measured(found.logits),
        "bytes": found.edge["onnx_bytes"],
        "macs": found.edge["macs"],
        "fingerprint": found.verdict["student"],
    }


def edge(found: Outcomes) -> Json:
    """Return sizes, latency at batch 1 on one thread, and how far the exported files agree with the
    model.
    """
    measured = found.latency["fp32"]
    kept = {
        key: found.edge.get(key)
        for key in (
            "onnx_bytes",
            "int8_bytes",
            "parity_max_error",
            "int8_agreement",
            "int8_reason",
            *(name for name in found.edge if name.startswith("int8_")),
        )
    }
    return {**kept, "latency_ms_p50": measured["p50_ms"], "latency_ms_p95": measured["p95_ms"]}


def rules(verdict: Json) -> list[Json]:
    """Return the gate's rules, every key of the schema there, null where it does not apply."""
    return [{**rule, **{key: rule.get(key) for key in RULE_KEYS}} for rule in verdict["rules"]]


def cost(seconds: Mapping[str, float], usd_per_hour: float) -> Json:
    """Return seconds of work of every step before this one, restored steps by what they took when
    they ran, and their price.
    """
    total = sum(seconds.values())
    return {"seconds": total, "usd": total / 3600 * usd_per_hour, "by_step": dict(seconds)}


def trial(found: Outcomes) -> int | str | None:
    """Return the number of the trial whose settings the student has; None if nothing was
    searched.
    """
    chosen: int | str | None = found.studies.get("student", {}).get("best")
    return chosen
