"""From a file of several labels a row to a receipt, a version and a second run against it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from steps.classroom import run
from steps.test_tasks import params, receipt, walk

from stillhouse.errors import SettingsError, UsageError
from stillhouse.pipeline import settings as project
from stillhouse.pipeline.predict import threshold
from stillhouse.receipt.answers import answers
from stillhouse.receipt.card import card
from stillhouse.receipt.page import page as page_of
from stillhouse.receipt.summary import summary, text
from stillhouse.steps import all as steps
from stillhouse.workspace import Workspace, load_tensors

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::stillhouse.data.notices.DataNotice",
)
NAMES = ("sport", "music", "war")


def news(root: Path, rows: int = 300, war: float = 0.3) -> dict[str, Any]:
    """A file of texts' counts with three labels, some of which nobody knows; the higher `war` is,
    the rarer it is.
    """
    draw = np.random.default_rng(0)
    counts = draw.normal(0, 1, (rows, 4))
    told = counts[:, :3] + counts[:, 3:] / 2 + draw.normal(0, 0.4, (rows, 3)) > (0.3, 0.3, war)
    lines = ["a,b,c,d," + ",".join(NAMES)]
    for at in range(rows):
        cells = ["1" if own else "0" for own in told[at]]
        cells = ["", "", ""] if at % 15 == 0 else cells
        cells[1] = "" if at % 11 == 0 else cells[1]
        lines.append(",".join([*(f"{x:.3f}" for x in counts[at]), *cells]))
    root.joinpath("rows.csv").write_text("\n".join(lines) + "\n")
    asked = params(
        prepare={
            "source": {
                "name": "csv",
                "path": "rows.csv",
                "target": list(NAMES),
                "task": "multi_label",
            },
            "labelled": 40,
            "unlabelled": 80,
        },
        robustness={
            "attacks": [{"name": "pgd", "norm": "linf", "epsilon": 0.2, "steps": 5}],
            "corruptions": [{"name": "noise"}],
        },
        gate={
            "rules": [
                {"metric": "test/exact_match", "at_least": 0.05},
                {"metric": "test/exact_match", "against": "teacher", "margin": 0.5},
                {"metric": "test/hamming_loss", "against": "none", "gates": False},
                {"metric": "test/exact_match", "against": "champion", "margin": 0.3},
                {"metric": "robust/linf/exact_match", "at_least": 0.01},
                {"metric": "corruption/mean_exact_match", "at_least": 0.01},
                {"metric": "flips/negative", "at_most": 0.5, "gates": False},
            ]
        },
    )
    asked["distill"] |= {"method": {"name": "multi_label"}, "epochs": 25, "supervised": 0.3}
    asked["teacher"] |= {"epochs": 25, "gate": {"metric": "val/map", "at_least": 0.5}}
    return asked


def test_several_labels_walk_to_a_receipt_and_are_compared_with_a_champion(tmp_path):
    asked = news(tmp_path, rows=600)
    walk(tmp_path, asked)
    house, told = Workspace(tmp_path), receipt(tmp_path)
    assert told["evidence"]["task"] == "multi_label"
    assert told["evidence"]["labels"] == list(NAMES)
    test = load_tensors(tmp_path / "artifacts/prepare/test.safetensors")["targets"]
    odds = load_tensors(tmp_path / "artifacts/export/outcomes.safetensors")["fp32_logits"]
    known = ~test.isnan().all(1)
    right = (((odds > 0) == (test == 1)) | test.isnan()).all(1)[known]
    assert told["student"]["test_exact_match"][1] == pytest.approx(float(right.double().mean()))
    judged = {rule["metric"]: rule for rule in told["rules"] if rule["against"] is None}
    assert judged["test/exact_match"]["observed"] == pytest.approx(float(right.double().mean()))
    assert judged["test/exact_match"]["rows_used"] == int(known.sum())
    several = {model["name"]: model for model in told["evidence"]["several"]}
    assert set(several) == {"teacher", "student", "none", "hard"}
    per_label = several["student"]["per_label"]
    assert [label["name"] for label in per_label] == list(NAMES)
    assert per_label[0]["positive"] == int((test[:, 0] == 1).sum())
    kept = load_tensors(tmp_path / "artifacts/gate/outcomes.safetensors")
    assert "label_points" not in house.read_json("artifacts/distill/student.json")
    assert "label_points" not in house.read_json("artifacts/gate/verdict.json")
    assert told["evidence"]["label_points"] is None
    stored = house.read_json("artifacts/gate/verdict.json")["slices"]
    assert stored
    first = kept["slice/0"][known] == 1
    assert (stored[0]["rows"], stored[0]["right"]) == (
        int(first.sum()),
        int((right & first).sum()),
    )
    assert {one["name"] for one in told["evidence"]["trust"]["slices"]} <= {
        one["name"] for one in stored
    }
    assert judged["slices/worst"]["guards"]
    measures = {one["name"]: one for one in told["evidence"]["trust"]["measures"]}
    chance, yes, there = odds.double().sigmoid(), test == 1, ~test.isnan()
    at = (chance * 15).ceil().clamp(1, 15)
    gaps = [float((chance - yes.double())[there & (at == k)].sum().abs()) for k in range(1, 16)]
    assert measures["labels_ece"]["student"][1] == pytest.approx(sum(gaps) / int(there.sum()))
    assert measures["labels_worst_ece"]["about"] in NAMES
    assert measures["labels_ece"]["teacher"] > 0
    distilled = house.read_json("artifacts/distill/metrics.json")
    assert {"val/ece", "test/ece", "test/worst_ece"} <= set(distilled)
    said = answers(told)
    assert "doubtful slice" in said["trust"]
    assert "probabilities of single labels are off by" in said["trust"]
    assert "every label is right" in said["classes"]
    assert "PGD,\u00a0L∞\u00a00.2" in said["withstands"]
    assert "exact match" in text(summary(told)).lower()
    assert "Labels, several a row: sport, music, war." in card(told)
    page = (tmp_path / "artifacts/report/receipt.html").read_text()
    assert "Label, the weakest first" in page
    assert "Validation exact match by epoch" in page
    model = (tmp_path / "artifacts/export/student.onnx").read_bytes()
    assert b'["sport", "music", "war"]' in model

    schema = json.loads((tmp_path / "artifacts/prepare/schema.json").read_text())
    about = {
        "version": 1,
        "head": 1,
        "manifest": "m",
        "schema": schema,
        "statistics": house.read_json("artifacts/prepare/data.json")["statistics"],
    }
    house.write_json(".stillhouse/champion/champion.json", about)
    house.write_bytes(".stillhouse/champion/champion.onnx", model)
    for step in ("gate", "report"):
        run(tmp_path, step, asked)
    verdict = house.read_json("artifacts/gate/verdict.json")
    rules = {rule["metric"] + (rule["against"] or ""): rule for rule in verdict["rules"]}
    assert rules["test/exact_matchchampion"]["observed"] == 0.0
    assert rules["flips/negative"]["observed"] == 0.0
    assert verdict["flips"]["both_right"] == int(right.sum())
    assert "(label sport)" in {one["name"] for one in verdict["drift"]["features"]}
    assert receipt(tmp_path)["flips"] == {"against": "version 1", "negative": 0, "positive": 0}
    house.write_json(
        ".stillhouse/champion/champion.json", {**about, "schema": {**schema, "labels": ["x"]}}
    )
    run(tmp_path, "gate", asked)
    verdict = house.read_json("artifacts/gate/verdict.json")
    assert "labels have other names" in next(
        rule["sentence"] for rule in verdict["rules"] if rule["against"] == "champion"
    )


def test_where_a_criterion_is_set_each_label_has_a_threshold_that_val_chose(tmp_path):
    asked = news(tmp_path, rows=600, war=1.6)
    asked["distill"]["threshold"] = {"sensitivity": 0.9}
    asked["teacher"]["gate"]["at_least"] = 0.3
    asked["gate"]["rules"] = [
        {"metric": "test/called_exact_match", "at_least": 0.05},
        {"metric": "test/worst_sensitivity", "at_least": 0.05},
    ]
    walk(tmp_path, asked)
    house, told = Workspace(tmp_path), receipt(tmp_path)
    point = house.read_json("artifacts/distill/student.json")["label_points"]
    assert point["criterion"] == {"sensitivity": 0.9}
    assert point["kept"] == ["war"]
    assert point["thresholds"][2] == 0.5
    val = load_tensors(tmp_path / "artifacts/prepare/val.safetensors")["targets"]
    arms = load_tensors(tmp_path / "artifacts/distill/outcomes.safetensors")
    chance = arms["student/0/val_logits"].double().sigmoid()
    for at in (0, 1):
        yes = val[:, at] == 1
        assert (chance[yes, at] >= point["thresholds"][at]).double().mean() >= 0.9

    test = load_tensors(tmp_path / "artifacts/prepare/test.safetensors")["targets"]
    odds = load_tensors(tmp_path / "artifacts/export/outcomes.safetensors")["fp32_logits"]
    given = odds.double().sigmoid() >= torch.tensor(point["thresholds"], dtype=torch.float64)
    yes, no = test == 1, test == 0
    right = ~((given & no) | (~given & yes)).any(1)[~test.isnan().all(1)]
    rules = {rule["metric"]: rule for rule in told["rules"]}
    assert rules["test/called_exact_match"]["observed"] == pytest.approx(
        float(right.double().mean())
    )
    shown = told["evidence"]["label_points"]
    own = {model["name"]: model for model in shown["models"]}
    assert set(own) == {"teacher", "student", "none", "hard"}
    assert own["student"]["exact_match"][1] == pytest.approx(float(right.double().mean()))
    first = shown["labels"][0]
    found = (given & yes)[:, 0].sum() / yes[:, 0].sum()
    assert first["sensitivity"][1] == pytest.approx(float(found))
    assert threshold(told) == {"labels": dict(zip(NAMES, point["thresholds"], strict=True))}
    said = answers(told)["classes"]
    assert "With a threshold for each label" in said
    assert "\u2068war\u2069 keeps one half: fewer than 10 validation rows have it" in said
    page = (tmp_path / "artifacts/report/receipt.html").read_text()
    assert "<small>keeps one half</small>" in page
    assert "chosen on the validation rows (sensitivity at least 0.9)" in page
    assert "where at least 10 of them have the label" in page


def test_a_receipt_of_several_labels_from_before_is_still_a_page(tmp_path):
    walk(tmp_path, news(tmp_path))
    told = receipt(tmp_path)
    del told["evidence"]["label_points"]
    told["evidence"]["trust"] = None
    for model in told["evidence"]["several"]:
        del model["ece"]
        for label in model["per_label"]:
            del label["ece"]
    assert "Label, the weakest first" in page_of(told)
    assert threshold(told) is None


@pytest.mark.parametrize(
    ("section", "setting", "value", "why"),
    [
        ("distill", "method", {"name": "kd"}, r"'kd' is for classification.*multi_label"),
        ("distill", "threshold", {"sensitivity": 0.9, "value": 0.5}, "chosen by one thing"),
        ("distill", "selector", {"name": "confidence"}, "'confidence' is for classification"),
        ("tune", "objectives", ["val/accuracy"], "has no 'val/accuracy'"),
        ("teacher", "gate", {"metric": "val/auc", "at_least": 0.5}, "has no 'val/auc'"),
        ("robustness", "tolerance", 3.0, "labels are right or wrong"),
        (
            "robustness",
            "attacks",
            [{"name": "square", "norm": "linf", "epsilon": 0.1}],
            "'square' turns decisions.*turns the weakest label",
        ),
        ("gate", "rules", [{"metric": "test/accuracy", "at_least": 0.5}], "has no 'test/accuracy'"),
        (
            "prepare",
            "source",
            {"name": "csv", "path": "rows.csv", "target": "sport", "task": "multi_label"},
            "several labels a row are several columns",
        ),
        (
            "prepare",
            "source",
            {"name": "csv", "path": "rows.csv", "target": ["sport", "war"]},
            "a classification predicts one",
        ),
    ],
)
def test_what_means_nothing_of_several_labels_is_refused_when_settings_are_read(
    tmp_path, section, setting, value, why
):
    asked = news(tmp_path)
    asked["gate"]["rules"] = asked["gate"]["rules"][:3]
    project.check(asked, steps.load(), tmp_path)
    with pytest.raises((SettingsError, UsageError), match=why):
        project.check(
            {**asked, section: {**asked[section], setting: value}}, steps.load(), tmp_path
        )
