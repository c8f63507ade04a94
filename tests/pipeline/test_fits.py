"""Settings that mean nothing where this is predicted are refused at load, before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SettingsError, UsageError
from stillhouse.pipeline import settings
from stillhouse.steps import all as steps_of

OF_QUANTITY: dict[str, Any] = {
    "teacher.gate.metric": "val/r2",
    "tune.objectives": ["val/r2"],
    "distill.method": {"name": "match"},
    "gate.rules": [{"metric": "test/r2", "at_least": 0.5}],
}
OF_CLASSES: dict[str, Any] = {
    "teacher.gate.metric": "val/accuracy",
    "tune.objectives": ["val/accuracy"],
    "distill.method": {"name": "kd"},
    "gate.rules": [{"metric": "test/accuracy", "at_least": 0.5}],
}
WHERE = {
    "teacher.gate.metric": "teacher.gate.metric: this is a {}, whose teacher has no '{}'",
    "tune.objectives": "tune.objectives: this is a {}, which has no '{}'",
    "distill.method": "distill.method: the method '{1}' is for .*, and this is a {0}",
    "gate.rules": "gate.rules.0.metric: this is a {}, which has no '{}'",
}


def said(value: Any) -> str:
    if isinstance(value, list):
        return said(value[0])
    return str(value.get("metric") or value["name"]) if isinstance(value, dict) else str(value)


def loaded(root: Path, task: str, chosen: dict[str, Any]) -> dict[str, Any]:
    net = {"name": "mlp", "width": 4, "depth": 1}
    asked: dict[str, Any] = {
        "model": "flats",
        "prepare": {"source": {"name": "csv", "path": "f.csv", "target": "price", "task": task}},
        "teacher": {"name": "fit", "architecture": net, "gate": {"at_least": 0.5}},
        "tune": {},
        "distill": {"student": net},
        "gate": {},
    }
    for path, value in chosen.items():
        *places, last = path.split(".")
        place = asked
        for name in places:
            place = place[name]
        place[last] = value
    (root / "params.yaml").write_text(yaml.safe_dump(asked))
    return settings.check(settings.read(root), steps_of.load(), root)


@pytest.mark.parametrize("wrong", OF_CLASSES)
def test_of_a_quantity_what_is_for_classes_is_refused_at_load(tmp_path: Path, wrong: str):
    loaded(tmp_path, "regression", OF_QUANTITY)
    match = WHERE[wrong].format("regression", said(OF_CLASSES[wrong]))
    with pytest.raises((SettingsError, UsageError), match=match):
        loaded(tmp_path, "regression", OF_QUANTITY | {wrong: OF_CLASSES[wrong]})


@pytest.mark.parametrize("wrong", OF_QUANTITY)
def test_of_classes_what_is_for_a_quantity_is_refused_at_load(tmp_path: Path, wrong: str):
    loaded(tmp_path, "classification", OF_CLASSES)
    match = WHERE[wrong].format("classification", said(OF_QUANTITY[wrong]))
    with pytest.raises((SettingsError, UsageError), match=match):
        loaded(tmp_path, "classification", OF_CLASSES | {wrong: OF_QUANTITY[wrong]})


def test_what_only_two_classes_have_is_refused_once_the_rows_tell_that_there_are_more(
    tmp_path: Path,
):
    asked = loaded(tmp_path, "classification", OF_CLASSES | {"tune.objectives": ["val/auc"]})
    two = Schema("table", (1,), ("a", "b"), (Feature("x"),))
    settings.fit(asked, steps_of.load(), two.as_dict())
    three = Schema("table", (1,), ("a", "b", "c"), (Feature("x"),))
    with pytest.raises(SettingsError, match=r"tune.objectives: .* has no 'val/auc'"):
        settings.fit(asked, steps_of.load(), three.as_dict())


def test_a_rule_against_a_control_that_is_not_trained_is_refused_at_load(tmp_path: Path):
    rules = [
        {"metric": "test/accuracy", "at_least": 0.5},
        {"metric": "test/accuracy", "against": "none", "margin": 0.0},
    ]
    asked = OF_CLASSES | {"gate.rules": rules, "distill.controls": ["none"]}
    loaded(tmp_path, "classification", asked)
    match = "gate.rules.1.against: the rule compares with the control 'none'"
    with pytest.raises(SettingsError, match=match):
        loaded(tmp_path, "classification", asked | {"distill.controls": ["hard"]})
