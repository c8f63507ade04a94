"""The evaluator through MLflow's own front door, on models that Stillhouse did not make."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stillhouse.errors import DataError, SettingsError, UsageError
from stillhouse.tracking.answers import read

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own imports and hints


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An MLflow of its own."""
    import mlflow

    root = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    mlflow.create_experiment("evaluated", artifact_location=f"file://{root}/artifacts")
    mlflow.set_experiment("evaluated")
    yield root
    mlflow.set_tracking_uri(before)


def table(n=600, seed=0):
    """Two numbers that decide the class, and a city where that is turned round."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"a": rng.random(n), "b": rng.random(n)})
    data["label"] = np.where(data.a + data.b > 1, "yes", "no")
    return data


def sure(data):
    """Probabilities of (no, yes)."""
    yes = 1 / (1 + np.exp(-20 * (data["a"] + data["b"] - 1)))
    return np.stack([1 - yes, yes], axis=1)


def decided(data):
    return np.where(data["a"] + data["b"] > 1, "yes", "no")


def evaluated(model, data, **config):
    import mlflow

    with mlflow.start_run() as run:
        found = mlflow.models.evaluate(
            model,
            data,
            targets="label",
            model_type="classifier",
            evaluators="stillhouse",
            evaluator_config={"queries": 60, "attack_rows": 40, **config},
        )
    return found, run.info.run_id


def test_any_function_gets_numbers_tables_plots_and_an_attack(place):
    import mlflow

    found, run_id = evaluated(sure, table())
    numbers = found.metrics
    assert numbers["stillhouse/accuracy"] == 1.0
    assert numbers["stillhouse/accuracy_low"] < 1.0
    assert numbers["stillhouse/robust_linf_low"] <= numbers["stillhouse/robust_linf"] < 0.95
    assert {"stillhouse/ece", "stillhouse/adaptive_ece", "stillhouse/aurc"} <= set(numbers)
    logged = mlflow.MlflowClient().get_run(run_id).data.metrics
    assert logged == numbers
    assert found.artifacts["stillhouse/classes"].content[0]["class"] == "no"
    plot = found.artifacts["stillhouse/reliability_plot"].content
    assert plot.startswith("<svg")
    stored = {f.path for f in mlflow.MlflowClient().list_artifacts(run_id, "stillhouse")}
    assert {"stillhouse/slices.json", "stillhouse/risk_coverage.svg"} <= stored


def test_a_slice_in_which_the_model_is_wrong_is_found_by_name(place):
    data = table(1500)
    data["city"] = np.random.default_rng(1).choice(
        ["Rome", "Oslo", "Lima"], len(data), p=[0.05, 0.5, 0.45]
    )
    turned = data.city == "Rome"
    data.loc[turned, "label"] = np.where(data.label[turned] == "yes", "no", "yes")
    found, _ = evaluated(sure, data)
    worst = found.artifacts["stillhouse/slices"].content[0]
    assert "city = Rome" in worst["slice"]
    assert worst["high"] < 0.5
    assert found.metrics["stillhouse/accuracy"] > 0.9
    left_out = found.artifacts["stillhouse/left_out"].content[0]
    assert "no numbers" in left_out["robust_linf"]


def test_a_model_that_only_decides_is_attacked_by_its_decisions_and_nothing_is_made_up(place):
    found, _ = evaluated(decided, table(), queries=400)
    assert "stillhouse/ece" not in found.metrics
    assert found.metrics["stillhouse/robust_linf"] < 0.95
    assert "classes only" in found.artifacts["stillhouse/left_out"].content[0]["ece"]


def test_settings_and_labels_that_cannot_be_meant_are_named(place):
    with pytest.raises(SettingsError, match="Did you mean 'epsilon'"):
        evaluated(sure, table(20), epsilo=0.1)
    with pytest.raises(UsageError, match="3 classes"):
        evaluated(sure, table(20), classes=["no", "yes", "maybe"])
    with pytest.raises(DataError, match="none of the classes"):
        evaluated(sure, table(20), classes=["no", "never"])


def test_answers_of_every_form_are_read_alike():
    classes = ["no", "yes"]
    shares = np.array([[0.9, 0.1], [0.2, 0.8]])
    for told in (shares, {"logits": np.log(shares)}, pd.DataFrame(shares)):
        logits = read(told, classes).logits
        assert logits.softmax(dim=1).numpy() == pytest.approx(shares)
    only = read(np.array(["yes", "no"]), classes)
    assert (only.graded, only.logits.argmax(dim=1).tolist()) == (False, [1, 0])
    with pytest.raises(DataError, match="row 1"):
        read(np.array([[0.0, 1.0], [np.nan, 1.0]]), classes)
    with pytest.raises(UsageError, match="2 outputs"):
        read({"a": shares, "b": shares}, classes)


def test_the_guide_s_example_runs(place, capsys):
    runpy.run_path(str(ROOT / "docs" / "examples" / "guide" / "judge_any.py"))
    assert "'slice':" in capsys.readouterr().out
