"""What a receipt of schema 1 holds; whoever reads one from elsewhere (the registry, a file) checks
it first.
"""

from collections.abc import Mapping
from typing import Any

from stillhouse.errors import Corrupt

NUMBER = (int, float)
NONE = type(None)
INTERVAL = [NUMBER]

SHAPE: dict[str, Any] = {
    "schema": int,
    "model": str,
    "verdict": str,
    "data": {
        "fingerprint": str,
        "rows": {"train": int, "val": int, "test": int, "labelled": int, "unlabelled": int},
    },
    "teacher": {"name": str, "parameters": (int, NONE)},
    "student": {
        "name": str,
        "parameters": int,
        "bytes": int,
        "macs": int,
        "fingerprint": str,
    },
    "arms": [{"name": str, "seeds": [NUMBER]}],
    "teacher_gain": [
        {"over": str, "estimate": NUMBER, "interval": INTERVAL, "seeds": int, "sentence": str}
    ],
    "flips": {"against": (str, NONE), "negative": (int, NONE), "positive": (int, NONE)},
    "mistakes": {"copied": int, "corrected": int},
    "robustness": dict,
    "corruption": dict,
    "edge": {
        "onnx_bytes": int,
        "int8_bytes": (int, NONE),
        "latency_ms_p50": NUMBER,
        "latency_ms_p95": NUMBER,
        "parity_max_error": NUMBER,
        "int8_agreement": (int, float, NONE),
    },
    "rules": [
        {
            "name": str,
            "verdict": str,
            "gates": bool,
            "observed": (int, float, NONE),
            "bound": (int, float, NONE),
            "direction": (str, NONE),
            "unit": (str, NONE),
            "interval": (list, NONE),
            "rows_used": (int, NONE),
            "rows_total": (int, NONE),
            "rows_needed": (int, NONE),
            "power": (int, float, NONE),
        }
    ],
    "evidence": {
        "written_at": str,
        "classes": [str],
        "champion": (dict, NONE),
        "per_class": [dict],
        "confusions": [dict],
        "reliability": dict,
        "trials": dict,
    },
    "cost": {"seconds": NUMBER, "usd": NUMBER, "by_step": dict},
    "settings": dict,
    "lineage": {
        "git": str,
        "dvc_lock": str,
        "code": str,
        "teacher": str,
        "knowledge": str,
        "trial": (int, str, NONE),
        "versions": dict,
    },
    "files": dict,
}
VERDICTS = ("promote", "hold", "reject")
RULE_VERDICTS = ("pass", "fail", "undecided", "not_applicable")


def check(receipt: Mapping[str, Any]) -> None:
    """Hold a value against schema 1; keys beside it are allowed.

    Raises:
        Corrupt: A key is missing, of another type or out of its words; the message has its path.
    """
    _hold(receipt, SHAPE, "receipt")
    for place, value in _measured(receipt):
        _hold(value, INTERVAL, place)
    _one_of(receipt["schema"], (1,), "receipt.schema")
    _one_of(receipt["verdict"], VERDICTS, "receipt.verdict")
    for i, rule in enumerate(receipt["rules"]):
        _one_of(rule["verdict"], RULE_VERDICTS, f"receipt.rules[{i}].verdict")
    names = [rule["name"] for rule in receipt["rules"]]
    if len(set(names)) < len(names):
        raise _broken("receipt.rules", "two rules have one name")
    for place, interval in _intervals(receipt):
        if len(interval) != 3 or not interval[0] <= interval[1] <= interval[2]:
            raise _broken(place, f"{interval} is not [low, estimate, high]")


def _hold(value: Any, shape: Any, place: str) -> None:
    if isinstance(shape, Mapping):
        _hold(value, dict, place)
        for key, inner in shape.items():
            if key not in value:
                raise _broken(f"{place}.{key}", "missing")
            _hold(value[key], inner, f"{place}.{key}")
    elif isinstance(shape, list):
        _hold(value, list, place)
        for i, item in enumerate(value):
            _hold(item, shape[0], f"{place}[{i}]")
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        raise _broken(place, f"{value!r:.60} is of another type")


def _one_of(value: object, known: tuple[object, ...], place: str) -> None:
    if value not in known:
        raise _broken(place, f"{value!r} is none of {', '.join(str(k) for k in known)}")


def _measured(receipt: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what teacher, student and arms are compared by: `test_accuracy`, or what the evidence
    says in its place.
    """
    key = f"test_{(receipt['evidence'].get('measure') or {}).get('key', 'accuracy')}"
    told = [(f"receipt.{who}", receipt[who]) for who in ("teacher", "student")]
    told += [(f"receipt.arms[{i}]", arm) for i, arm in enumerate(receipt["arms"])]
    for place, value in told:
        if key not in value:
            raise _broken(f"{place}.{key}", "missing")
    return [(f"{place}.{key}", value[key]) for place, value in told]


def _intervals(receipt: Mapping[str, Any]) -> list[tuple[str, list[float]]]:
    return _measured(receipt) + [
        (f"receipt.robustness.{label}", interval)
        for label, interval in receipt["robustness"].items()
    ]


def _broken(place: str, what: str) -> Corrupt:
    return Corrupt(
        f"this is no receipt of schema 1: {what}.",
        where=place,
        fix="Make it again: stillhouse run.",
    )
