"""From a user's file to a receipt, task by task: a quantity, its quantiles, and two classes with
rare events.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from steps.classroom import run

from stillhouse.errors import DataRefused, SettingsError, UsageError
from stillhouse.receipt.schema import check
from stillhouse.receipt.summary import summary, text
from stillhouse.workspace import Workspace, load_tensors

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::stillhouse.data.notices.DataNotice",
)
STEPS = (
    "prepare",
    "validate",
    "teacher",
    "knowledge",
    "tune",
    "distill",
    "export",
    "robustness",
    "gate",
    "report",
)


def params(**sections: Any) -> dict[str, Any]:
    net = {"name": "mlp", "width": 8, "depth": 1}
    return {
        "model": "small",
        "plugins": [],
        "prepare": {"source": {"name": "csv", "path": "rows.csv", "target": "target"}},
        "validate": {},
        "teacher": {"name": "fit", "architecture": net, "epochs": 6},
        "knowledge": {},
        "tune": {"trials": 1},
        "distill": {"student": net, "method": {"name": "kd"}, "epochs": 4, "seeds": 2},
        "export": {"int8": False},
        "robustness": {},
        "gate": {"rules": []},
        "report": {},
        "release": {},
        **sections,
    }


def walk(root: Path, asked: Mapping[str, Any], steps: tuple[str, ...] = STEPS) -> None:
    Workspace(root).write_json(".stillhouse/champion/champion.json", None)
    for name in steps:
        run(root, name, asked)


def receipt(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "artifacts/report/receipt.json").read_text())
    check(found)
    return found


def quantities(root: Path, rows: int = 300) -> dict[str, Any]:
    """A file of a quantity with a category, missing cells and rows without a target."""
    draw = np.random.default_rng(0)
    heat, wind = draw.normal(15, 8, rows), draw.choice(["calm", "north"], rows)
    dust = 80 + 3 * heat + 20 * (wind == "calm") + draw.normal(0, 5, rows)
    lines = ["hour,heat,wind,target"]
    for at in range(rows):
        target = "" if at % 15 == 0 else f"{dust[at]:.2f}"
        lines.append(f"{at},{'' if at % 11 == 0 else round(heat[at], 2)},{wind[at]},{target}")
    root.joinpath("rows.csv").write_text("\n".join(lines) + "\n")
    source = {
        "name": "csv",
        "path": "rows.csv",
        "target": "target",
        "task": "regression",
        "units": {"target": "µg/m³"},
    }
    return params(
        prepare={"source": source, "labelled": 60, "unlabelled": 80},
        distill={
            "student": {"name": "mlp", "width": 8, "depth": 1},
            "method": {"name": "match"},
            "epochs": 4,
            "seeds": 2,
        },
        gate={
            "rules": [
                {"metric": "test/rmse", "at_most": 1000},
                {"metric": "test/mae", "against": "teacher"},
            ]
        },
    )


def test_a_quantity_walks_to_a_receipt_that_says_what_does_not_apply(tmp_path):
    walk(tmp_path, quantities(tmp_path))
    told = receipt(tmp_path)
    assert told["evidence"]["task"] == "regression"
    low, error, high = told["student"]["test_mae"]
    assert 0 < low <= error <= high
    assert "µg/m³" in text(summary(told))
    page = (tmp_path / "artifacts/report/receipt.html").read_text()
    assert page.count("a regression tells a quantity and decides for no class") >= 3
    assert "Mean absolute error, µg/m³" in page
    robust = Workspace(tmp_path).read_json("artifacts/robustness/robustness.json")
    assert "pgd_linf_0.1" in {entry["name"] for entry in robust["not_measured"]}
    assert [one["name"] for one in robust["corruptions"]] == ["missing_cells", "noise"]
    assert "costs most: its error is" in page
    distilled = Workspace(tmp_path).read_json("artifacts/distill/metrics.json")
    assert {"val/rmse", "test/mae", "test/r2", "arms/none/test_mae"} <= set(distilled)

    test = load_tensors(tmp_path / "artifacts/prepare/test.safetensors")
    answers = load_tensors(tmp_path / "artifacts/export/outcomes.safetensors")["fp32_logits"]
    known = ~test["targets"].isnan()
    error = (answers[known, 0] - test["targets"][known]).double().abs().mean()
    assert receipt(tmp_path)["student"]["test_mae"][1] == pytest.approx(float(error), rel=1e-6)


def test_quantiles_are_told_in_place_of_the_mean(tmp_path):
    asked = quantities(tmp_path)
    asked["prepare"]["quantiles"] = [0.1, 0.5, 0.9]
    asked["gate"]["rules"].append({"metric": "test/coverage", "at_least": 0.01, "gates": False})
    walk(tmp_path, asked)
    told = receipt(tmp_path)
    assert len(told["evidence"]["errors"][0]["pinball"]) == 3
    outputs = load_tensors(tmp_path / "artifacts/export/outcomes.safetensors")
    assert outputs["fp32_logits"].shape[1] == 3


def test_what_means_nothing_of_a_quantity_is_refused_by_name(tmp_path):
    asked = quantities(tmp_path)
    walk(tmp_path, asked, STEPS[:4])
    wrong = {**asked, "distill": {**asked["distill"], "method": {"name": "kd"}}}
    with pytest.raises(UsageError, match=r"'kd' is for classification.*match"):
        run(tmp_path, "tune", wrong)
    with pytest.raises(SettingsError, match="has no 'val/accuracy'"):
        run(tmp_path, "tune", {**asked, "tune": {"objectives": ["val/accuracy"]}})
    weighed = {**asked["distill"], "class_weights": "balanced"}
    with pytest.raises(SettingsError, match="is a quantity and has no classes"):
        run(tmp_path, "tune", {**asked, "distill": weighed})
    run(tmp_path, "tune", asked)


def rare(root: Path, rows: int = 400) -> dict[str, Any]:
    """A file of rare events."""
    draw = np.random.default_rng(1)
    event = draw.random(rows) < 0.15
    speed, road = 50 + 25 * event + draw.normal(0, 15, rows), draw.choice(["dry", "wet"], rows)
    lines = ["hour,speed,road,target"]
    lines += [
        f"{at},{speed[at]:.1f},{road[at]},{'crash' if event[at] else 'none'}" for at in range(rows)
    ]
    root.joinpath("rows.csv").write_text("\n".join(lines) + "\n")
    asked = params(
        gate={
            "rules": [
                {"metric": "test/auc", "at_least": 0.5},
                {"metric": "test/sensitivity", "at_least": 0.1, "gates": False},
                {"metric": "test/precision", "at_least": 0.1, "gates": False},
                {"metric": "test/auc", "against": "teacher"},
            ]
        }
    )
    asked["prepare"]["positive"] = "crash"
    asked["distill"] |= {"class_weights": "balanced", "threshold": {"sensitivity": 0.8}}
    asked["teacher"] |= {"class_weights": {"crash": 5}}
    return asked


def test_rare_events_have_an_area_and_a_threshold_that_val_chose(tmp_path):
    walk(tmp_path, rare(tmp_path))
    told = receipt(tmp_path)["evidence"]["two_classes"]
    assert told["positive"] == "crash"
    assert {row["name"] for row in told["models"]} == {"teacher", "student", "none", "hard"}
    files = Workspace(tmp_path)
    point = files.read_json("artifacts/distill/student.json")["operating_point"]
    verdict = files.read_json("artifacts/gate/verdict.json")
    own = next(row for row in told["models"] if row["name"] == "student")
    assert own["threshold"] == point["threshold"]
    rules = {rule["name"]: rule for rule in verdict["rules"]}
    assert rules["test/sensitivity ≥ 0.1"]["observed"] == pytest.approx(own["sensitivity"][1])
    assert rules["test/auc ≥ 0.5"]["observed"] == pytest.approx(own["auc"][1])
    val = load_tensors(tmp_path / "artifacts/prepare/val.safetensors")
    logits = load_tensors(tmp_path / "artifacts/distill/outcomes.safetensors")[
        "student/0/val_logits"
    ]
    crash = files.read_json("artifacts/prepare/schema.json")["classes"].index("crash")
    called = logits.double().softmax(1)[:, crash] >= point["threshold"]
    assert called[val["targets"] == crash].double().mean() >= 0.8
    page = (tmp_path / "artifacts/report/receipt.html").read_text()
    assert "chosen on the validation rows" in page
    assert "Sensitivity" in page


def test_a_positive_class_that_is_none_is_refused_with_the_nearest(tmp_path):
    asked = rare(tmp_path)
    asked["prepare"]["positive"] = "crsh"
    with pytest.raises(SettingsError, match=r"'crsh'.*crash"):
        run(tmp_path, "prepare", asked)


def pressures(root: Path, wrong: int) -> dict[str, Any]:
    lines = ["systolic,diastolic,target"]
    for at in range(120):
        high, low = (120 + at / 10, 80 - at / 10) if at >= wrong else (70 + at, 80 + at)
        lines.append(f"{high},{'' if at % 9 == 5 else low},{'ab'[at % 2]}")
    root.joinpath("rows.csv").write_text("\n".join(lines) + "\n")
    asked = params()
    asked["prepare"]["constraints"] = ["systolic > diastolic"]
    return asked


def test_rows_that_break_what_holds_between_columns_are_refused_and_named(tmp_path):
    walk(tmp_path, pressures(tmp_path, 0), STEPS[:2])
    schema = Workspace(tmp_path).read_json("artifacts/prepare/schema.json")
    assert schema["constraints"] == ["systolic > diastolic"]
    with pytest.raises(DataRefused, match=r"diastolic.*systolic|systolic.*diastolic"):
        walk(tmp_path, pressures(tmp_path, 4), STEPS[:2])


def test_a_quantity_under_corruption_is_judged_by_the_error_that_it_adds(tmp_path):
    asked = quantities(tmp_path)
    asked["robustness"] = {"corruptions": [{"name": "noise"}], "rows": 40}
    asked["gate"]["rules"] += [
        {"metric": "corruption/noise/mae", "at_most": 1000},
        {"metric": "corruption/mean_mae", "at_most": 1, "gates": False},
    ]
    walk(tmp_path, asked)
    house = Workspace(tmp_path)
    robust = house.read_json("artifacts/robustness/robustness.json")
    metrics = house.read_json("artifacts/robustness/metrics.json")
    seen = load_tensors(tmp_path / "artifacts/robustness/outcomes.safetensors")
    errors = torch.stack([seen[f"error/noise/{severity}"] for severity in range(1, 6)])
    assert errors.shape == (5, 40)
    assert metrics["corruption/noise/mae"] == pytest.approx(float(errors.mean()), rel=1e-6)
    assert metrics["corruption/worst_mae"] == pytest.approx(float(errors.mean(1).max()), rel=1e-6)
    clean = float(seen["error/clean"].mean())
    assert robust["corruptions"][0]["relative"] == pytest.approx(float(errors.mean()) / clean)
    by_severity = robust["corruptions"][0]["mae_by_severity"]
    assert by_severity[-1] > by_severity[0]
    rules = {
        rule["metric"]: rule for rule in house.read_json("artifacts/gate/verdict.json")["rules"]
    }
    assert rules["corruption/noise/mae"]["verdict"] == "pass"
    assert rules["corruption/noise/mae"]["observed"] == pytest.approx(float(errors.mean()))
    assert rules["corruption/mean_mae"]["verdict"] == "fail"


def test_a_quantity_under_attack_is_judged_by_a_stated_tolerance(tmp_path):
    asked = quantities(tmp_path)
    attack = {"name": "pgd", "norm": "linf", "epsilon": 0.3, "steps": 5}
    asked["robustness"] = {"corruptions": [], "attacks": [attack], "tolerance": 30}
    asked["gate"]["rules"] += [
        {"metric": "robust/pgd_linf_0.3/within", "at_least": 0.01},
        {"metric": "robust/pgd_linf_0.3/mae", "at_most": 1, "gates": False},
    ]
    walk(tmp_path, asked)
    house = Workspace(tmp_path)
    metrics = house.read_json("artifacts/robustness/metrics.json")
    seen = load_tensors(tmp_path / "artifacts/robustness/outcomes.safetensors")
    errors, clean = seen["push/pgd_linf_0.3"], seen["error/clean"]
    assert (errors >= clean).all()
    assert errors.mean() > clean.mean() + 0.5
    within = float((errors <= 30).double().mean())
    assert metrics["robust/pgd_linf_0.3/within"] == pytest.approx(within)
    rules = {
        rule["metric"]: rule for rule in house.read_json("artifacts/gate/verdict.json")["rules"]
    }
    assert rules["robust/pgd_linf_0.3/within"]["observed"] == pytest.approx(within)
    assert rules["robust/pgd_linf_0.3/mae"]["verdict"] == "fail"
    assert "robust/masking/alarms" not in rules
    page = (tmp_path / "artifacts/report/receipt.html").read_text()
    assert "stay within 30" in page


def test_attacks_on_a_quantity_are_refused_when_settings_are_read_unless_they_can_be_meant():
    from stillhouse.evaluation.tasks import CLASSIFICATION, Regression
    from stillhouse.steps import robustness

    def fits(task, **section):
        robustness.step.fits({"robustness": section}, task)

    pgd = {"name": "pgd", "norm": "linf", "epsilon": 0.1}
    square = {**pgd, "name": "square"}
    fits(Regression(), corruptions=[{"name": "noise"}])
    fits(Regression(), attacks=[pgd], tolerance=3)
    fits(CLASSIFICATION, attacks=[pgd, square])
    for task, section, place in (
        (Regression(), {"attacks": [pgd]}, "robustness.tolerance"),
        (Regression(), {"attacks": [pgd, square], "tolerance": 3}, "robustness.attacks.1.name"),
        (CLASSIFICATION, {"attacks": [pgd], "tolerance": 3}, "robustness.tolerance"),
    ):
        with pytest.raises(SettingsError) as caught:
            fits(task, **section)
        assert caught.value.where == place
