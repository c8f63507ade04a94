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


def fitted(labels, columns=("a", "b")):
    """A model of scikit-learn's, as MLflow stores it without a pickle."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    data = table(300, seed=1)
    model = LogisticRegression().fit(data[list(columns)], np.asarray(labels(data)))
    with mlflow.start_run():
        return mlflow.sklearn.log_model(model, name="m", serialization_format="skops").model_uri


def thirds(data):
    return np.select([data.a < 0.3, data.a < 0.6], ["low", "middle"], "top")


def test_a_model_s_own_names_decide_which_column_is_which(place):
    model, data = fitted(thirds), table(200)
    data["label"] = thirds(data)
    right = evaluated(model, data, attack=False)[0].metrics["stillhouse/nll"]
    turned = evaluated(model, data, attack=False, classes=["top", "low", "middle"])[0].metrics
    assert turned["stillhouse/nll"] == pytest.approx(right)
    two, _ = evaluated(model, data[data.label != "middle"], attack=False)
    assert [one["rows"] > 0 for one in two.artifacts["stillhouse/classes"].content] == [
        True,
        False,
        True,
    ]
    with pytest.raises(DataError, match=r"'huge' in row .* low, middle, top"):
        evaluated(model, data.assign(label=data.label.replace("top", "huge")))
    with pytest.raises(UsageError, match="tells low, middle, top apart"):
        evaluated(model, data[data.label != "top"], classes=["low", "middle", "huge"])


def whole(n=400):
    draw = np.random.default_rng(0)
    data = pd.DataFrame({"age": draw.integers(20, 90, n), "pulse": draw.integers(40, 120, n)})
    data["label"] = (data.age > 55).astype(int)
    return data


def test_a_model_of_the_user_s_own_with_whole_columns_in_its_signature_is_attacked(place):
    import mlflow
    from mlflow.models import infer_signature

    class Own(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            ill = 1 / (1 + np.exp(-(model_input["age"].to_numpy(float) - 55.5) / 3))
            return np.stack([1 - ill, ill], axis=1)

    data = whole()
    asked = data[["age", "pulse"]]
    with mlflow.start_run():
        kept = mlflow.pyfunc.log_model(
            name="m", python_model=Own(), signature=infer_signature(asked, np.zeros((2, 2)))
        )
    numbers = evaluated(kept.model_uri, data, attack_rows=400)[0].metrics
    # a tenth of the range is 6.9 years, of which 6 are whole: rows at 50 to 61 can change sides
    assert numbers["stillhouse/accuracy"] == 1.0
    assert numbers["stillhouse/robust_linf"] == pytest.approx(1 - data.age.between(50, 61).mean())


@pytest.mark.parametrize("sure", [True, False])
def test_whole_numbers_in_an_array_are_neither_cut_nor_moved_by_less_than_one(place, sure):
    import mlflow

    rows = whole()[["age", "pulse"]].to_numpy()
    targets = (rows[:, 0] > 55).astype(int)

    def model(array):
        ill = (array[:, 0] > 55).astype(int)
        return np.eye(2)[ill] if sure else ill

    for epsilon, left in ((1e-6, 1.0), (0.1, 1 - np.mean((rows[:, 0] >= 50) & (rows[:, 0] <= 61)))):
        with mlflow.start_run():
            found = mlflow.models.evaluate(
                model,
                rows,
                targets=targets,
                model_type="classifier",
                evaluators="stillhouse",
                evaluator_config={"epsilon": epsilon, "attack_rows": 400, "queries": 200},
            )
        assert found.metrics["stillhouse/robust_linf"] == pytest.approx(left)


def test_answers_that_mlflow_has_put_in_one_column_are_taken_apart():
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    flat = pd.DataFrame({"probabilities": shares.reshape(-1)})
    assert read(flat, ["no", "yes"], rows=3).logits.softmax(dim=1).numpy() == pytest.approx(shares)
    with pytest.raises(DataError, match="2 answers came to 3 rows"):
        read(shares[:2], ["no", "yes"], rows=3)


def test_labels_and_columns_that_nobody_can_mean_are_named(place):
    data = table(20)
    with pytest.raises(DataError, match="label of row 3 is missing"):
        evaluated(sure, data.assign(label=data.label.where(data.index != 3, None)))
    with pytest.raises(UsageError, match="targets are quantities"):
        evaluated(sure, data.assign(label=data.a))
    with pytest.raises(DataError, match=r"model: 0\.5 in row 0 is none of the classes 0, 1"):
        evaluated(lambda rows: np.full(len(rows), 0.5), data.assign(label=[0, 1] * 10))
    with pytest.raises(UsageError, match="same name"):
        evaluated(sure, data, classes=["no", "no"])
    twice = data.rename(columns={"b": "a"}).assign(label=[0, 1] * 10)
    with pytest.raises(DataError, match="two columns are called 'a'"):
        evaluated(lambda rows: np.zeros(len(rows)), twice)


def test_rows_that_cannot_move_are_not_called_robust(place):
    found, _ = evaluated(sure, pd.DataFrame({"a": 0.4, "b": 0.7, "label": ["no", "yes"] * 9}))
    assert "stillhouse/robust_linf" not in found.metrics
    assert "nothing may change" in found.artifacts["stillhouse/left_out"].content[0]["robust_linf"]


def test_rows_of_one_class_are_measured_and_not_attacked(place):
    data = table(60)
    found, _ = evaluated(lambda rows: np.full(len(rows), "no"), data[data.label == "no"])
    assert found.metrics["stillhouse/accuracy"] == 1.0
    assert "one class" in found.artifacts["stillhouse/left_out"].content[0]["robust_linf"]


def test_the_guide_s_example_runs(place, capsys):
    runpy.run_path(str(ROOT / "docs" / "examples" / "guide" / "judge_any.py"))
    assert "'slice':" in capsys.readouterr().out
